//! One try at one mail: claim the delivery, fill the template, send, record.

use std::{collections::HashMap, time::Duration};

use api::notification::v1::{
    AttemptOutcome, ClaimDeliveryRequest, Delivery, RecordAttemptRequest, RenderMailRequest,
    RenderMailResponse, delivery_service_client::DeliveryServiceClient,
    template_service_client::TemplateServiceClient,
};
use kernel::{EmailAddress, Uuid};
use service::{Auth, MailError, Refusal};
use tonic::Code;

use crate::{
    Mailer,
    message::{Envelope, compose},
    peers::{incomplete, is_passing, refusal},
};

/// A mail that an event asks for.
pub(crate) struct Due {
    pub event_id: Uuid,
    pub organisation_id: String,
    pub about: About,
    pub recipient: EmailAddress,
    /// The recipient's name; may be empty.
    pub name: String,
    pub template: &'static str,
    /// Empty means the platform's default.
    pub locale: String,
    /// What the template is filled with; those that are empty are left out.
    pub variables: Vec<(&'static str, String)>,
}

/// What a mail is about, by its id.
pub(crate) enum About {
    Invitation(String),
    AccessRequest(String),
}

/// A claimed delivery and what it is to say.
struct Attempt {
    delivery: Delivery,
    claim_id: String,
    recipient: EmailAddress,
    name: String,
    variables: HashMap<String, String>,
}

/// How long the mail server may take. It leaves time to record what became of it within the
/// message's 45 s.
const SENDING: Duration = Duration::from_secs(30);

/// Pauses before recording again. Recording is idempotent, and a mail that was sent but not recorded
/// is the one that goes out twice.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_millis(1_500),
    Duration::from_secs(4),
];

/// What became of it. The words may hold an address: they go into the delivery and nowhere else.
enum Outcome {
    Sent,
    Delayed { kind: &'static str, words: String },
    Failed { kind: &'static str, words: String },
}

/// Sends a mail unless it is sent already, or given up. Held by another worker, it is asked for
/// again later: that worker may have crashed.
pub(crate) async fn deliver(mailer: &Mailer, auth: Auth, due: Due) -> Result<(), Refusal> {
    let Due { event_id, organisation_id, about, recipient, name, template, locale, variables } =
        due;
    let (invitation_id, access_request_id) = match about {
        About::Invitation(id) => (id, String::new()),
        About::AccessRequest(id) => (String::new(), id),
    };
    let request = ClaimDeliveryRequest {
        event_id: event_id.to_string(),
        organisation_id,
        invitation_id,
        recipient: recipient.to_string(),
        template: template.to_owned(),
        locale,
        access_request_id,
    };
    let mut client = DeliveryServiceClient::new(mailer.peers.notification(auth.clone()));
    let claim = client.claim_delivery(request).await;
    let claim = claim.map_err(|status| refusal("ClaimDelivery", &status))?.into_inner();
    let delivery = claim.delivery.ok_or_else(|| incomplete("ClaimDelivery"))?;
    if claim.claim_id.is_empty() {
        tracing::info!(delivery_id = delivery.id, "nothing is left to send");
        return Ok(());
    }
    let given = variables.into_iter().filter(|(_, text)| !text.is_empty());
    let variables = given.map(|(name, text)| (name.to_owned(), text)).collect();
    attempt(
        mailer,
        auth,
        Attempt { delivery, claim_id: claim.claim_id, recipient, name, variables },
    )
    .await
}

/// Tries once and records the outcome. A mail that is refused for good is done with: it is visible
/// as a failed delivery.
async fn attempt(mailer: &Mailer, auth: Auth, attempt: Attempt) -> Result<(), Refusal> {
    let outcome = match send(mailer, auth.clone(), &attempt).await {
        Ok(()) => Outcome::Sent,
        Err(outcome) => outcome,
    };
    let Attempt { delivery, claim_id, .. } = attempt;
    let (kind, words) = match &outcome {
        Outcome::Sent => (AttemptOutcome::Sent, ""),
        Outcome::Delayed { words, .. } => (AttemptOutcome::Delayed, words.as_str()),
        Outcome::Failed { words, .. } => (AttemptOutcome::Failed, words.as_str()),
    };
    let request = RecordAttemptRequest {
        delivery_id: delivery.id.clone(),
        claim_id,
        outcome: kind.into(),
        error: words.to_owned(),
    };
    record(mailer, auth, request).await?;

    let delivery_id = delivery.id;
    match outcome {
        Outcome::Sent => {
            tracing::info!(delivery_id, attempts = delivery.attempts, "the mail was sent");
            Ok(())
        }
        Outcome::Failed { kind, .. } => {
            tracing::warn!(delivery_id, kind, "the mail was refused for good");
            Ok(())
        }
        Outcome::Delayed { kind, .. } => Err(Refusal::Retry(kind.to_owned())),
    }
}

async fn send(mailer: &Mailer, auth: Auth, attempt: &Attempt) -> Result<(), Outcome> {
    let Attempt { delivery, claim_id: _, recipient, name, variables } = attempt;
    let request = RenderMailRequest {
        template: delivery.template.clone(),
        locale: delivery.locale.clone(),
        organisation_id: delivery.organisation_id.clone(),
        variables: variables.clone(),
    };
    let mut client = TemplateServiceClient::new(mailer.peers.notification(auth));
    let RenderMailResponse { subject, text, html } = match client.render_mail(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => {
            let words = format!("RenderMail: {:?}", status.code());
            let kind = "the template cannot be filled";
            return Err(if is_passing(&status) {
                Outcome::Delayed { kind, words }
            } else {
                Outcome::Failed { kind, words }
            });
        }
    };
    let envelope = Envelope {
        from: &mailer.from,
        to: recipient,
        name,
        message_id: &delivery.message_id,
        date: mailer.clock.now(),
    };
    let message = compose(envelope, &subject, &text, &html).map_err(|error| Outcome::Failed {
        kind: "the mail cannot be composed",
        words: error.to_string(),
    })?;
    match tokio::time::timeout(SENDING, mailer.mail.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(MailError::Refused(words))) => {
            Err(Outcome::Failed { kind: "the mail server refuses the mail", words })
        }
        Ok(Err(MailError::Delayed(words))) => {
            Err(Outcome::Delayed { kind: "the mail server is away or asks to try again", words })
        }
        Err(_) => {
            let kind = "the mail server does not answer within 30 s";
            Err(Outcome::Delayed { kind, words: kind.to_owned() })
        }
    }
}

async fn record(mailer: &Mailer, auth: Auth, request: RecordAttemptRequest) -> Result<(), Refusal> {
    let mut client = DeliveryServiceClient::new(mailer.peers.notification(auth));
    let mut pauses = PAUSES.into_iter();
    loop {
        let Err(status) = client.record_attempt(request.clone()).await else { return Ok(()) };
        if status.code() == Code::Aborted {
            // Somebody took the delivery over when the claim had lapsed, and goes on with it.
            tracing::warn!(delivery_id = request.delivery_id, "the claim was lost");
            return Ok(());
        }
        match pauses.next() {
            Some(pause) if is_passing(&status) => tokio::time::sleep(pause).await,
            _ => return Err(refusal("RecordAttempt", &status)),
        }
    }
}
