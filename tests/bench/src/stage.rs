//! The platform that is measured, and who asks it.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use api::organisation::v1::{
    CheckPermissionRequest, permission_service_client::PermissionServiceClient,
};
use db::{Database, DatabaseUrl};
use sea_orm::{ConnectionTrait as _, DatabaseConnection};
use service::RawSettings;
use stories::{PASSWORD, Platform};
use testkit::{servers, with_token};
use tonic::transport::Channel;

use crate::{plans::Plans, population::Population};

/// Tokens hold for ten minutes.
const FRESH: Duration = Duration::from_secs(300);
const TIERS: u32 = 8;

/// Who asks.
#[derive(Clone, Copy)]
pub enum Asker {
    /// The owner of the platform.
    Owner,
    /// An approver of the population's root, who sees no archived organisation.
    Approver,
    /// A member of every child of the population's root.
    Everywhere,
}

/// A platform on PostgreSQL, and a connection to its database.
pub struct Stage {
    pub platform: Platform,
    pub channel: Channel,
    pub database: Database,
    tokens: RefCell<HashMap<String, (Instant, String)>>,
    checkers: Cell<u32>,
}

impl Stage {
    /// Starts the platform on a new database, whose server can report plans.
    pub async fn set() -> Result<(Self, Option<Plans>)> {
        let url = servers::postgres().await;
        // With the organisation service's tables in its path, and time for long statements.
        let database = Database::connect(&DatabaseUrl::parse(&url)?, "organisation", 1).await?;
        for setting in ["statement_timeout = 0", "application_name = 'bench'"] {
            database.read().execute_unprepared(&format!("SET {setting}")).await?;
        }
        let plans = Plans::prepare(database.read()).await?;
        let mut raw = RawSettings::default();
        raw.set("database_url", url);
        raw.set("organisation_depth", TIERS.to_string());
        let platform = Platform::embedded(raw, None).await;
        let channel = platform.organisation();
        let (tokens, checkers) = (RefCell::default(), Cell::default());
        Ok((Self { platform, channel, database, tokens, checkers }, plans))
    }

    /// The connection past the service.
    pub fn connection(&self) -> &DatabaseConnection {
        self.database.read()
    }

    /// Makes a population: what stands out of it by the service, the many past it.
    pub async fn populate(&self, tag: u8, members: u32) -> Result<Population> {
        let mut population = Population::of(tag, members);
        let owner = self.platform.owner().await;
        let root = owner.create_organisation(&format!("{members} people"), None).await;
        let mut deepest = root.clone();
        for tier in 2..=TIERS {
            deepest = owner.create_organisation(&format!("Tier {tier}"), Some(&deepest)).await;
        }
        let first = owner.create_organisation("First", Some(&root)).await;
        let platform = &self.platform;
        platform.member(&owner, &root, &email("approver", tag), "approver").await;
        let everywhere = platform.member(&owner, &first, &email("everywhere", tag), "user").await;
        let me = everywhere.get("/api/me").await.expect(200);
        me["id"].as_str().unwrap_or_default().clone_into(&mut population.everywhere);
        (population.root, population.deepest) = (root, deepest);
        population.write(self.connection()).await?;
        Ok(population)
    }

    /// The token of somebody, which holds for some minutes more.
    pub async fn token(&self, asker: Asker, tag: u8) -> String {
        let email = match asker {
            Asker::Owner => "owner@example.com".to_owned(),
            Asker::Approver => email("approver", tag),
            Asker::Everywhere => email("everywhere", tag),
        };
        let known = self.tokens.borrow().get(&email).cloned();
        match known {
            Some((since, token)) if since.elapsed() < FRESH => token,
            _ => {
                let client = self.platform.anonymous().sign_in(&email, PASSWORD).await;
                let token = client.token().to_owned();
                self.tokens.borrow_mut().insert(email, (Instant::now(), token.clone()));
                token
            }
        }
    }

    /// The token of a new service account that may ask about anybody.
    pub async fn checker(&self) -> String {
        let number = self.checkers.get() + 1;
        self.checkers.set(number);
        self.platform.service_token(&format!("bench-{number}"), &["permissions.check"]).await
    }

    /// Asks whether somebody may do something; answers whether.
    pub async fn check(
        &self,
        bearer: &str,
        subject: String,
        organisation: &str,
        permission: &str,
    ) -> Result<bool> {
        let request = CheckPermissionRequest {
            subject_id: subject,
            organisation_id: organisation.to_owned(),
            permission: permission.to_owned(),
        };
        let mut permissions = PermissionServiceClient::new(self.channel.clone());
        let answer = permissions.check_permission(with_token(bearer, request)).await?;
        Ok(answer.into_inner().allowed)
    }
}

fn email(name: &str, tag: u8) -> String {
    format!("{name}{tag}@example.com")
}
