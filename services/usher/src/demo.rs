//! `usher demo`: the main story, told through what everybody can reach.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use api::organisation::v1::{
    CheckPermissionRequest, permission_service_client::PermissionServiceClient,
};
use kernel::Clock;
use prometheus::Registry;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use service::RawSettings;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use crate::all_in_one::{self, Addresses, Running};

const INVITEE: &str = "ada@example.com";
const PASSWORD: &str = "a difference engine in brass";

/// Tells the story on a temporary folder; the first step that fails is named in the error.
pub async fn demo() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut told = Told::begin();
    let prepared =
        all_in_one::prepare(folder.path(), Addresses::free(), RawSettings::default()).await?;
    let stop = CancellationToken::new();
    let running = all_in_one::start(prepared, Clock::System, Registry::new(), stop).await?;
    running.ready().await?;
    told.step("Usher starts, every service in this process", &running.url());
    let grpc = Endpoint::from_shared(format!("http://{}", running.addresses.grpc[1]))?;
    let organisation = grpc.connect_lazy();
    let story = Story { running: &running, http: reqwest::Client::new(), organisation };
    let outcome = story.tell(&mut told).await;
    running.stop().await?;
    match outcome {
        Ok(()) => {
            println!(
                "\nThe story is told: {} steps in {} ms.",
                told.steps,
                told.begun.elapsed().as_millis()
            );
            println!("Play it yourself: cargo run -- up");
            Ok(())
        }
        Err(error) => Err(error.context(format!("step {} failed", told.steps + 1))),
    }
}

/// Prints each step with the time that it took.
struct Told {
    begun: Instant,
    last: Instant,
    steps: usize,
}

impl Told {
    fn begin() -> Self {
        println!("The main story of Usher\n");
        Self { begun: Instant::now(), last: Instant::now(), steps: 0 }
    }

    fn step(&mut self, what: &str, answer: &str) {
        self.steps += 1;
        let took = self.last.elapsed().as_secs_f64() * 1_000.0;
        println!("{:>3}. {what:<62} {took:>8.1} ms   {answer}", self.steps);
        self.last = Instant::now();
    }
}

struct Story<'a> {
    running: &'a Running,
    http: reqwest::Client,
    organisation: Channel,
}

impl Story<'_> {
    async fn tell(&self, told: &mut Told) -> anyhow::Result<()> {
        let owner = &self.running.owner;
        let password = owner.generated_password.as_ref().context("the owner has no password")?;
        let owner_token = self.sign_in(&owner.email, password.expose_secret()).await?;
        told.step("The platform owner signs in", "201");

        let root = self.create(&owner_token, "ABC Holdings", None).await?;
        told.step("creates ABC Holdings", "201");
        let child = self.create(&owner_token, "ABC Holdings - Child 1", Some(&root)).await?;
        told.step("creates ABC Holdings - Child 1", "201");
        let sibling = self.create(&owner_token, "ABC Holdings - Child 2", Some(&root)).await?;
        told.step("creates ABC Holdings - Child 2", "201");

        let invitation = self.invite(&owner_token, &child).await?;
        told.step("invites Ada into Child 1 as a user", "201, pending");
        let link = self.mailed_link().await?;
        told.step("One mail arrives, with a link", "1 mail");

        let page = self.http.get(&link).send().await.context("opening the link")?;
        ensure!(page.status() == 200, "opening the link answered {}", page.status());
        let page = page.text().await?;
        ensure!(page.contains("ABC Holdings - Child 1"), "the page does not name the organisation");
        let state = self.state_of(&owner_token, &invitation).await?;
        ensure!(state == "pending", "opening the link made the invitation {state}");
        told.step("Ada opens the link; that changes nothing", "200, still pending");

        self.enrol(&link).await?;
        let state = self.state_of(&owner_token, &invitation).await?;
        ensure!(state == "accepted", "after enrolment the invitation is {state}");
        told.step("chooses a name and a password, and is a member", "200, accepted");
        let used = self.http.get(&link).send().await?.status();
        ensure!(used == 410, "the used link answered {used}");
        told.step("opens the link again: it says that it was used", "410");

        let ada = self.sign_in(INVITEE, PASSWORD).await?;
        told.step("Ada signs in", "201");
        self.check_rights(told, &ada, &root, &child, &sibling).await
    }

    async fn check_rights(
        &self,
        told: &mut Told,
        ada: &str,
        root: &str,
        child: &str,
        sibling: &str,
    ) -> anyhow::Result<()> {
        for (place, organisation, permission, expected) in [
            ("inside", child, "organisations.read", true),
            ("inside", child, "invitations.create", false),
            ("at the root", root, "organisations.read", false),
            ("at a sibling", sibling, "organisations.read", false),
        ] {
            let allowed = self.check(ada, organisation, permission).await?;
            ensure!(allowed == expected, "{permission} {place}: allowed is {allowed}");
            let answer = if allowed { "allowed" } else { "not allowed" };
            told.step(&format!("May Ada {permission} {place}? (gRPC)"), answer);
        }
        let nowhere = "00000000-0000-7000-8000-000000000000";
        let (hidden, unknown) = (self.get(ada, root).await?, self.get(ada, nowhere).await?);
        ensure!(hidden.0 == 404 && hidden == unknown, "the root answered {hidden:?}");
        told.step("To Ada the root answers like one that does not exist", "404");
        Ok(())
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.running.url())
    }

    async fn sign_in(&self, email: &str, password: &str) -> anyhow::Result<String> {
        let request = self.http.post(self.url("/api/sessions"));
        let body = json!({ "email": email, "password": password });
        let answer = expect(201, "signing in", request.json(&body)).await?;
        text(&answer, "access_token")
    }

    async fn create(
        &self,
        token: &str,
        name: &str,
        parent: Option<&str>,
    ) -> anyhow::Result<String> {
        let request = self.http.post(self.url("/api/organisations")).bearer_auth(token);
        let body = json!({ "display_name": name, "parent_id": parent });
        let answer = expect(201, "creating an organisation", request.json(&body)).await?;
        text(&answer, "id")
    }

    async fn invite(&self, token: &str, organisation: &str) -> anyhow::Result<String> {
        let path = format!("/api/organisation-invitations?organisation_id={organisation}");
        let request = self.http.post(self.url(&path)).bearer_auth(token);
        let body = json!({ "organisation_id": organisation, "email": INVITEE, "role": "user" });
        let answer = expect(201, "inviting", request.json(&body)).await?;
        ensure!(answer["status"] == "pending", "the invitation is {}", answer["status"]);
        text(&answer, "id")
    }

    async fn state_of(&self, token: &str, invitation: &str) -> anyhow::Result<String> {
        let path = format!("/api/organisation-invitations/{invitation}");
        let request = self.http.get(self.url(&path)).bearer_auth(token);
        text(&expect(200, "reading the invitation", request).await?, "status")
    }

    /// Waits for the mail, and takes the link from its plain text as a person would.
    async fn mailed_link(&self) -> anyhow::Result<String> {
        let url = self.url(&format!("/api/mailbox?to={INVITEE}"));
        let begun = Instant::now();
        loop {
            let mails = expect(200, "reading the mailbox", self.http.get(&url)).await?;
            let mails = mails.as_array().context("the mailbox is no list")?;
            ensure!(mails.len() <= 1, "{} mails arrived", mails.len());
            if let Some(mail) = mails.first() {
                let text = text(mail, "text")?;
                let mut words = text.split_whitespace();
                let link = words.find(|word| word.contains("/invitations/"));
                return link.map(str::to_owned).context("the mail has no link");
            }
            ensure!(begun.elapsed() < Duration::from_secs(10), "no mail arrived within 10 s");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn enrol(&self, link: &str) -> anyhow::Result<()> {
        let form = [
            ("display_name", "Ada Lovelace"),
            ("password", PASSWORD),
            ("password_again", PASSWORD),
        ];
        let answer = self.http.post(format!("{link}/enrol")).form(&form).send().await?;
        ensure!(answer.status() == 200, "enrolling answered {}", answer.status());
        Ok(())
    }

    async fn check(
        &self,
        token: &str,
        organisation: &str,
        permission: &str,
    ) -> anyhow::Result<bool> {
        let mut client = PermissionServiceClient::new(self.organisation.clone());
        let mut request = tonic::Request::new(CheckPermissionRequest {
            subject_id: String::new(),
            organisation_id: organisation.to_owned(),
            permission: permission.to_owned(),
        });
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
        Ok(client.check_permission(request).await?.into_inner().allowed)
    }

    async fn get(&self, token: &str, organisation: &str) -> anyhow::Result<(u16, String)> {
        let url = self.url(&format!("/api/organisations/{organisation}"));
        let answer = self.http.get(url).bearer_auth(token).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }
}

async fn expect(
    status: u16,
    doing: &str,
    request: reqwest::RequestBuilder,
) -> anyhow::Result<Value> {
    let answer = request.send().await.with_context(|| doing.to_owned())?;
    let got = answer.status();
    let body = answer.text().await?;
    ensure!(got == status, "{doing} answered {got} instead of {status}: {body}");
    serde_json::from_str(&body).with_context(|| format!("{doing} did not answer JSON"))
}

fn text(value: &Value, key: &str) -> anyhow::Result<String> {
    value[key].as_str().map(str::to_owned).with_context(|| format!("{key} is missing"))
}
