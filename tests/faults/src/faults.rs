//! One fault a file, each with the result that it states.

mod crashes;
mod kills;
mod overtaken;
mod swallowed;
mod twice;
mod unbound;

pub use crashes::{WINDOWS, Window, crash_in_window};
pub use kills::{SERVICES, kill_service};
pub use overtaken::overtake_a_mailer;
pub use swallowed::swallow_what_is_published;
pub use twice::deliver_twice;
pub use unbound::unbind_the_queue;

/// The variable that switches guards off.
pub const OFF: &str = "FAULT_OFF";
