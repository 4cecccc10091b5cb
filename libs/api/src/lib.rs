//! The code generated from `proto/`, and the way between its timestamps and ours.

/// The descriptor set of all packages, for reflection and for tests that walk every RPC.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Who exists: users, sessions, service accounts.
pub mod identity {
    #[allow(missing_docs, clippy::all)]
    pub mod v1 {
        tonic::include_proto!("usher.identity.v1");
    }
}

/// Where people belong and what they may do: organisations, memberships, invitations.
pub mod organisation {
    #[allow(missing_docs, clippy::all)]
    pub mod v1 {
        tonic::include_proto!("usher.organisation.v1");
    }
}

/// How people hear about it: deliveries and templates.
pub mod notification {
    #[allow(missing_docs, clippy::all)]
    pub mod v1 {
        tonic::include_proto!("usher.notification.v1");
    }
}

/// What operators ask of every service: outboxes.
pub mod operations {
    #[allow(missing_docs, clippy::all)]
    pub mod v1 {
        tonic::include_proto!("usher.operations.v1");
    }
}

/// A moment as protobuf writes it.
pub fn timestamp(at: chrono::DateTime<chrono::Utc>) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at.timestamp(),
        // Fewer than 10^9 (or, in a leap second, 2 * 10^9), which an i32 holds.
        nanos: i32::try_from(at.timestamp_subsec_nanos()).unwrap_or_default(),
    }
}

/// A moment as our code holds it; `None` if it is out of range.
pub fn time(timestamp: &prost_types::Timestamp) -> Option<chrono::DateTime<chrono::Utc>> {
    chrono::DateTime::from_timestamp(timestamp.seconds, u32::try_from(timestamp.nanos).ok()?)
}
