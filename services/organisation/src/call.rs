use std::{ops::Deref, sync::OnceLock};

use db::request::Key;
use kernel::{Fields, Malformed, Uuid, parse_id};
use prost::Message;
use service::Caller;
use tonic::{Request, Status};

use crate::{domain::rights::Giver, error::Error};

/// One call of an RPC: who makes it, and what the history and a repetition know it by.
pub(crate) struct Call {
    caller: Caller,
    /// What is done, as the history names it: `noun.verb`.
    pub action: &'static str,
    /// For whom a service account says that it acts: for the history alone, it gives no rights.
    pub on_behalf_of: Option<Uuid>,
    /// What makes a repetition known; nothing for a request without an identifier.
    once: Result<Option<Key>, Malformed>,
    about: OnceLock<Uuid>,
}

/// The header in which a service account names the person that it acts for.
const ON_BEHALF_OF: &str = "usher-on-behalf-of";

impl Call {
    /// A call that changes nothing.
    pub(crate) fn read<T>(request: Request<T>, action: &'static str) -> Result<(Self, T), Status> {
        let caller = Caller::of(&request)?;
        let on_behalf_of = on_behalf_of(&caller, &request)?;
        let about = OnceLock::new();
        let call = Self { caller, action, on_behalf_of, once: Ok(None), about };
        Ok((call, request.into_inner()))
    }

    /// A call that changes something, and that its caller may repeat (AIP-155).
    pub(crate) fn change<T: Message>(
        request: Request<T>,
        action: &'static str,
        request_id: impl FnOnce(&T) -> &str,
    ) -> Result<(Self, T), Status> {
        let (mut call, request) = Self::read(request, action)?;
        let text = request_id(&request);
        if !text.is_empty() {
            call.once = parse_id(text).map(|request_id| {
                let fingerprint = kernel::sha256(&request.encode_to_vec());
                Some(Key { caller: call.caller.subject, request_id, method: action, fingerprint })
            });
        }
        Ok((call, request))
    }

    /// The same call about something else: one of many that come in one.
    pub(crate) fn again(&self) -> Self {
        Self {
            caller: self.caller.clone(),
            action: self.action,
            on_behalf_of: self.on_behalf_of,
            once: Ok(None),
            about: OnceLock::new(),
        }
    }

    /// What makes a repetition known.
    pub(crate) fn once(&self) -> Result<Option<&Key>, Error> {
        self.once.as_ref().map(Option::as_ref).map_err(|_| {
            let mut fields = Fields::default();
            self.complete(&mut fields);
            Error::Invalid(fields)
        })
    }

    /// Adds the violation of the request's identifier to those of its other fields.
    pub(crate) fn complete(&self, fields: &mut Fields) {
        if let Err(malformed) = self.once {
            fields.reject("request_id", malformed);
        }
    }

    /// Notes the organisation that the call is about, for the history of a refusal.
    pub(crate) fn note(&self, organisation: Uuid) {
        let _ = self.about.set(organisation);
    }

    /// The organisation that the call is about, as far as it got.
    pub(crate) fn about(&self) -> Option<Uuid> {
        self.about.get().copied()
    }

    /// What kind of giver the caller is.
    pub(crate) fn giver(&self) -> Giver {
        if self.is_person() { Giver::Person } else { Giver::ServiceAccount }
    }
}

impl Deref for Call {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

fn on_behalf_of<T>(caller: &Caller, request: &Request<T>) -> Result<Option<Uuid>, Status> {
    let Some(header) = request.metadata().get(ON_BEHALF_OF) else { return Ok(None) };
    // A person acts for themselves.
    if caller.is_person() {
        return Ok(None);
    }
    let mut fields = Fields::default();
    let id = header.to_str().map_err(|_| Malformed("a UUID")).and_then(parse_id);
    match fields.read(ON_BEHALF_OF, id) {
        Some(id) => Ok(Some(id)),
        None => Err(service::invalid(&fields)),
    }
}
