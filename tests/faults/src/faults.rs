//! One fault a file, each with the result that it states.

mod broker;
mod crashes;
mod heard;
mod kills;
mod loops;
mod network;
mod overtaken;
mod poison;
mod servers;
mod shared;
mod smtp;
mod swallowed;
mod twice;
mod unbound;

pub use broker::{fill_disk_of_broker, leave_broker_down};
pub use crashes::{WINDOWS, Window, crash_behind_each_mail, crash_in_window};
pub use heard::hear_twice;
pub use kills::{SERVICES, kill_embedded, kill_service};
pub use loops::{Looped, crash_in_a_loop};
pub use network::{NETWORKS, cut_off, cut_off_clients};
pub use overtaken::overtake_a_mailer;
pub use poison::{Poisoned, poison};
pub use servers::kill_server;
pub use shared::share_an_outbox;
pub use smtp::{Faulty, annoy_mailer};
pub use swallowed::swallow_what_is_published;
pub use twice::deliver_twice;
pub use unbound::unbind_the_queue;

/// The variable that switches guards off.
pub const OFF: &str = "FAULT_OFF";
