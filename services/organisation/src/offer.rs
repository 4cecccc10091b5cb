use api::organisation::v1 as proto;
use kernel::{DisplayName, Fields, Malformed, Time, Uuid, parse_id};
use sea_orm::{ConnectionTrait, DbErr};

use crate::{
    domain::{
        callback_url::CallbackUrl,
        invitation::{Locale, parse_source_id},
        note::Note,
        role::{RoleKey, Roles},
    },
    entity::{
        application, invitation,
        membership::{AFTER_BEGINNING, Span, read_moment},
        role,
    },
    error::Error,
};

/// What an inviter offers and says in an invitation: what `CreateInvitation` sets and
/// `UpdateInvitation` changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offer {
    /// None means the default role.
    pub roles: Vec<RoleKey>,
    pub first_name: String,
    pub last_name: String,
    pub institution: String,
    pub application: Option<Uuid>,
    pub locale: String,
    pub personal_message: String,
    /// The membership's.
    pub span: Span,
    pub source_id: String,
    pub callback: Option<CallbackUrl>,
}

/// What an offer names, found at its organisation.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub roles: Roles,
    pub application: Option<application::Model>,
}

impl Offer {
    /// Its fields, as a mask names them.
    pub(crate) const FIELDS: [&str; 11] = [
        "roles",
        "first_name",
        "last_name",
        "institution",
        "application_id",
        "locale",
        "personal_message",
        "membership_valid_from",
        "membership_expires_at",
        "source_id",
        "callback_url",
    ];

    /// What an invitation offers and says.
    pub(crate) fn of(row: &invitation::Model) -> Self {
        Self {
            roles: row.roles.split_whitespace().filter_map(|it| RoleKey::parse(it).ok()).collect(),
            first_name: row.first_name.clone(),
            last_name: row.last_name.clone(),
            institution: row.institution.clone(),
            application: row.application_id,
            locale: row.locale.clone(),
            personal_message: row.personal_message.clone(),
            span: row.span(),
            source_id: row.source_id.clone(),
            callback: CallbackUrl::parse(&row.callback_url).ok(),
        }
    }

    /// Takes over one field, whose violations are noted behind `place`; `false` if there is none of
    /// this name. With violations noted the offer is good for nothing.
    pub(crate) fn take(
        &mut self,
        field: &str,
        from: &proto::Invitation,
        now: Time,
        fields: &mut Fields,
        place: &str,
    ) -> bool {
        let at = format!("{place}{field}");
        let mut name = |text: &str| {
            let name = fields.read_optional(&at, text, DisplayName::parse).flatten();
            name.map(String::from).unwrap_or_default()
        };
        match field {
            "first_name" => self.first_name = name(&from.first_name),
            "last_name" => self.last_name = name(&from.last_name),
            "institution" => self.institution = name(&from.institution),
            "roles" => {
                self.roles = RoleKey::read_all(fields, &at, &from.roles).unwrap_or_default();
            }
            "application_id" => {
                let id = fields.read_optional(at, &from.application_id, parse_id);
                self.application = id.flatten();
            }
            "locale" => {
                let locale = fields.read(at, Locale::parse(&from.locale));
                self.locale = locale.map(String::from).unwrap_or_default();
            }
            "personal_message" => {
                let note = fields.read(at, Note::parse(&from.personal_message));
                self.personal_message = note.map(String::from).unwrap_or_default();
            }
            "membership_valid_from" => {
                let moment = read_moment(fields, &at, from.membership_valid_from, now);
                self.span.valid_from = moment.flatten();
            }
            "membership_expires_at" => {
                let moment = read_moment(fields, &at, from.membership_expires_at, now);
                self.span.expires_at = moment.flatten();
            }
            "source_id" => {
                let id = fields.read(at, parse_source_id(&from.source_id));
                self.source_id = id.unwrap_or_default();
            }
            "callback_url" => {
                let url = fields.read_optional(at, &from.callback_url, CallbackUrl::parse);
                self.callback = url.flatten();
            }
            _ => return false,
        }
        true
    }

    /// Notes what does not fit together: a membership that ends before it begins, and a callback of no
    /// application.
    pub(crate) fn check(&self, fields: &mut Fields, place: &str) {
        if !self.span.ends_after_beginning() {
            fields.reject(format!("{place}membership_expires_at"), AFTER_BEGINNING);
        }
        if self.callback.is_some() && self.application.is_none() {
            let expected = Malformed("an application, which has registered the callback's host");
            fields.reject(format!("{place}application_id"), expected);
        }
    }

    /// The two names as one.
    pub(crate) fn full_name(&self) -> String {
        format!("{} {}", self.first_name, self.last_name).trim().to_owned()
    }

    /// Looks up what it names; roles that the organisation cannot give and an application that it
    /// cannot use are noted.
    pub(crate) async fn look_up(
        &self,
        connection: &impl ConnectionTrait,
        organisation: Uuid,
        fields: &mut Fields,
        place: &str,
    ) -> Result<Found, DbErr> {
        let roles = if self.roles.is_empty() {
            role::default_role(connection, organisation).await?
        } else {
            let among = role::given_at(organisation);
            let found =
                role::find(connection, among, &format!("{place}roles"), &self.roles).await?;
            found.map_err(|unknown| fields.append(unknown)).unwrap_or_default()
        };
        let Some(id) = self.application else { return Ok(Found { roles, application: None }) };
        let application = application::find_usable(connection, id, organisation).await?;
        if application.is_none() {
            let expected = Malformed("an application that the organisation can use");
            fields.reject(format!("{place}application_id"), expected);
        }
        Ok(Found { roles, application })
    }

    /// An application must say where it leads people, and which hosts may hear of the outcome.
    pub(crate) fn require_registered(&self, found: &Found) -> Result<(), Error> {
        let Some(application) = &found.application else { return Ok(()) };
        if application.redirect_url().is_none() {
            return Err(Error::ApplicationWithoutRedirect);
        }
        let Some(callback) = &self.callback else { return Ok(()) };
        let registered = application.takes_callbacks_at(callback);
        if registered { Ok(()) } else { Err(Error::CallbackNotRegistered) }
    }
}
