//! What the mailer listens to, one event a file.

pub(crate) mod invitation_issued;
