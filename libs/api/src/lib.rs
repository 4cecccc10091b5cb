//! The code generated from `proto/`, and nothing else.

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
