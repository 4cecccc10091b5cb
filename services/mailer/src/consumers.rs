//! What the mailer listens to, one event a file.

pub(crate) mod access_request_mail;
pub(crate) mod delivery_resent;
pub(crate) mod invitation_issued;
