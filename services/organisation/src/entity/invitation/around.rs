use kernel::Uuid;
use sea_orm::{ConnectionTrait, entity::prelude::*};

use super::{Entity, Model};
use crate::entity::{application, organisation, person};

/// An invitation with the names of what it is about, for those who are shown it.
pub(crate) struct Around {
    pub invitation: Model,
    pub organisation_name: String,
    /// An application that invites speaks for the organisation.
    pub inviter_name: String,
    /// What the person is invited for, if it is still there.
    pub application: Option<application::Model>,
}

impl Around {
    pub(crate) async fn find(
        connection: &impl ConnectionTrait,
        id: Uuid,
    ) -> Result<Option<Self>, DbErr> {
        let found =
            Entity::find_by_id(id).find_also_related(organisation::Entity).one(connection).await?;
        let Some((invitation, Some(organisation))) = found else { return Ok(None) };
        let inviter = person::Entity::find_by_id(invitation.inviter_id).one(connection).await?;
        let application = match invitation.application_id {
            Some(id) => application::Entity::find_by_id(id).one(connection).await?,
            None => None,
        };
        Ok(Some(Self {
            invitation,
            inviter_name: inviter
                .map_or_else(|| organisation.display_name.clone(), |person| person.display_name),
            organisation_name: organisation.display_name,
            application,
        }))
    }
}
