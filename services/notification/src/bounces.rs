//! Reports about mails that came back, from the folder that a mail server delivers them to.

pub(crate) mod collect;
