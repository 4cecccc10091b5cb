use std::collections::{BTreeMap, HashMap};

use api::identity::v1::{
    BatchCreateInvitedUsersRequest, BatchCreateInvitedUsersResponse, CreateInvitedUserRequest,
    CreateInvitedUserResponse,
};
use kernel::{DisplayName, EmailAddress, Fields, Malformed};
use ring::rand::{SecureRandom as _, SystemRandom};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _,
    sea_query::OnConflict,
};
use secrecy::SecretString;
use service::Caller;

use crate::{Identity, domain::password, entity::user, error::Error};

/// How many accounts one call may ask for.
const MOST: usize = 100;

/// What a request says.
struct Wanted {
    email: EmailAddress,
    display_name: String,
    random_password: bool,
}

/// The account of an address, created with status `invited` if there is none. An existing account
/// is answered unchanged. Needs the scope `users.invite`.
///
/// Source 004 wants a new account to have a random password from the first moment: with
/// `random_password` it gets one that is hashed and forgotten at once. It opens nothing, because
/// an `invited` account cannot sign in, and enrolment puts the person's own in its place.
pub(crate) async fn create_invited(
    identity: &Identity,
    caller: &Caller,
    request: CreateInvitedUserRequest,
) -> Result<CreateInvitedUserResponse, Error> {
    let mut fields = Fields::default();
    let wanted = read(&mut fields, "", request).into_iter().collect();
    let users = accounts(identity, caller, fields, wanted).await?;
    Ok(CreateInvitedUserResponse { user: users.into_iter().next().map(Into::into) })
}

/// The accounts of up to 100 addresses, as [`create_invited`] has each, in a number of queries that
/// does not depend on how many there are: somebody imports thousands of invitations.
pub(crate) async fn create_many(
    identity: &Identity,
    caller: &Caller,
    request: BatchCreateInvitedUsersRequest,
) -> Result<BatchCreateInvitedUsersResponse, Error> {
    let BatchCreateInvitedUsersRequest { requests } = request;
    let mut fields = Fields::default();
    if requests.len() > MOST {
        fields.reject("requests", Malformed("at most 100 requests"));
        return Err(Error::Invalid(fields));
    }
    let read = |(index, request)| read(&mut fields, &format!("requests[{index}]."), request);
    let wanted = requests.into_iter().enumerate().filter_map(read).collect();
    let users = accounts(identity, caller, fields, wanted).await?;
    Ok(BatchCreateInvitedUsersResponse { users: users.into_iter().map(Into::into).collect() })
}

/// Reads one request, noting its violations behind `place`.
fn read(fields: &mut Fields, place: &str, request: CreateInvitedUserRequest) -> Option<Wanted> {
    let CreateInvitedUserRequest { email, display_name, random_password } = request;
    let email = fields.read(format!("{place}email"), EmailAddress::parse(&email));
    let name = format!("{place}display_name");
    let name = fields.read_optional(name, &display_name, DisplayName::parse)?;
    let display_name = name.map(String::from).unwrap_or_default();
    Some(Wanted { email: email?, display_name, random_password })
}

async fn accounts(
    identity: &Identity,
    caller: &Caller,
    fields: Fields,
    wanted: Vec<Wanted>,
) -> Result<Vec<user::Model>, Error> {
    if !fields.violations().is_empty() {
        return Err(Error::Invalid(fields));
    }
    if !caller.has_scope("users.invite") {
        return Err(Error::ScopeMissing("users.invite"));
    }
    let mut known = of_emails(identity, &wanted).await?;
    // By address: calls that share some do not wait for one another in a circle. Of two for one
    // address the first says what it is to be.
    let new: BTreeMap<_, _> = wanted
        .iter()
        .rev()
        .filter(|it| !known.contains_key(it.email.as_str()))
        .map(|it| (it.email.as_str(), it))
        .collect();
    if !new.is_empty() {
        let mut rows = Vec::with_capacity(new.len());
        for wanted in new.into_values() {
            rows.push(row(identity, wanted).await?);
        }
        // Of two that invite the same address at once, one creates; both read what there is.
        let taken = OnConflict::column(user::Column::Email).do_nothing().to_owned();
        let insert = user::Entity::insert_many(rows).on_conflict(taken);
        insert.exec_without_returning(identity.database.read()).await?;
        known = of_emails(identity, &wanted).await?;
    }
    let account = |it: &Wanted| known.get(it.email.as_str()).cloned().ok_or(Error::UserNotFound);
    wanted.iter().map(account).collect()
}

async fn of_emails(
    identity: &Identity,
    wanted: &[Wanted],
) -> Result<HashMap<String, user::Model>, DbErr> {
    let emails = wanted.iter().map(|it| it.email.as_str());
    let found = user::Entity::find().filter(user::Column::Email.is_in(emails));
    let found = found.all(identity.database.read()).await?;
    Ok(found.into_iter().map(|user| (user.email.clone(), user)).collect())
}

async fn row(identity: &Identity, wanted: &Wanted) -> Result<user::ActiveModel, Error> {
    let password_hash = match wanted.random_password {
        true => Some(identity.hashing.hash(new_password()?).await?),
        false => None,
    };
    let now = identity.clock.now();
    Ok(user::ActiveModel {
        id: Set(identity.clock.new_id()),
        email: Set(wanted.email.as_str().to_owned()),
        display_name: Set(wanted.display_name.clone()),
        status: Set(user::Status::Invited),
        password_hash: Set(password_hash),
        is_platform_owner: Set(false),
        created_at: Set(now),
        updated_at: Set(now),
    })
}

fn new_password() -> Result<SecretString, Error> {
    // Of 32 bytes one is of no use; that more than half of 64 are is not going to happen.
    let mut bytes = [0; 64];
    let filled = SystemRandom::new().fill(&mut bytes);
    let password = filled.ok().and_then(|()| password::letters_and_digits(&bytes));
    password
        .map(SecretString::from)
        .ok_or_else(|| Error::Internal("the machine has no random bytes".to_owned()))
}

#[cfg(test)]
mod tests {
    use api::identity::v1::{CreateSessionRequest, User, UserStatus};
    use sea_orm::{ColumnTrait as _, QueryFilter as _, sea_query::Expr};
    use secrecy::ExposeSecret as _;
    use testkit::Bench;

    use super::*;
    use crate::testing::{Stage, reason, violations};

    testkit::on_both_databases!(
        a_random_password_is_hashed_and_told_to_nobody,
        without_asking_there_is_no_password,
        an_existing_account_is_unchanged,
        many_are_answered_in_their_order_and_made_once,
        many_at_once_that_share_addresses_agree,
        what_is_wrong_with_one_of_many_refuses_all,
        t18_an_invited_account_answers_sign_in_like_an_unknown_one_even_with_its_password,
        only_the_scope_invites,
    );

    fn wanted(email: &str, random_password: bool) -> CreateInvitedUserRequest {
        CreateInvitedUserRequest { email: email.to_owned(), random_password, ..Default::default() }
    }

    async fn invite(stage: &Stage, request: CreateInvitedUserRequest) -> User {
        let mut organisation = stage.account("users.invite").users();
        organisation.create_invited_user(request).await.unwrap().into_inner().user.unwrap()
    }

    async fn row(stage: &Stage, email: &str) -> user::Model {
        let email = EmailAddress::parse(email).unwrap();
        user::of_email(&email).one(stage.database.read()).await.unwrap().unwrap()
    }

    async fn a_random_password_is_hashed_and_told_to_nobody(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mut hashes = Vec::new();
        for email in ["ada@example.com", "zoe@example.com"] {
            let user = invite(&stage, wanted(email, true)).await;
            assert_eq!(user.status(), UserStatus::Invited);
            hashes.extend(row(&stage, email).await.password_hash);
        }
        assert_eq!(hashes.len(), 2);
        assert_ne!(hashes[0], hashes[1]);
        for hash in hashes {
            assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        }
        let (one, other) = (new_password().unwrap(), new_password().unwrap());
        assert_eq!(one.expose_secret().len(), 32);
        assert_ne!(one.expose_secret(), other.expose_secret());
    }

    async fn without_asking_there_is_no_password(bench: Bench) {
        let stage = Stage::set(bench).await;
        invite(&stage, wanted("ada@example.com", false)).await;
        assert_eq!(row(&stage, "ada@example.com").await.password_hash, None);
    }

    async fn an_existing_account_is_unchanged(bench: Bench) {
        let stage = Stage::set(bench).await;
        invite(&stage, wanted("ada@example.com", false)).await;
        for email in ["ada@example.com", "owner@example.com"] {
            let before = row(&stage, email).await;
            let user = invite(&stage, wanted(email, true)).await;
            assert_eq!(user, before.clone().into());
            assert_eq!(row(&stage, email).await, before);
        }
    }

    async fn invite_all(
        stage: &Stage,
        requests: Vec<CreateInvitedUserRequest>,
    ) -> Result<Vec<User>, tonic::Status> {
        let mut organisation = stage.account("users.invite").users();
        let request = BatchCreateInvitedUsersRequest { requests };
        Ok(organisation.batch_create_invited_users(request).await?.into_inner().users)
    }

    async fn many_are_answered_in_their_order_and_made_once(bench: Bench) {
        let stage = Stage::set(bench).await;
        let ada = invite(&stage, wanted("ada@example.com", false)).await;
        let requests = vec![
            wanted("zoe@example.com", true),
            wanted("Ada@Example.com", true),
            wanted("owner@example.com", false),
            wanted("zoe@example.com", false),
            wanted("bob@example.com", false),
        ];
        let users = invite_all(&stage, requests.clone()).await.unwrap();
        let emails: Vec<_> = users.iter().map(|user| user.email.as_str()).collect();
        let expected = ["zoe", "ada", "owner", "zoe", "bob"].map(|it| format!("{it}@example.com"));
        assert_eq!(emails, expected);
        assert_eq!((&users[1], users[2].status()), (&ada, UserStatus::Active));
        assert_eq!(users[0], users[3]);
        assert_eq!(invite_all(&stage, requests).await.unwrap(), users);
        for (email, has_one) in
            [("zoe@example.com", true), ("ada@example.com", false), ("bob@example.com", false)]
        {
            assert_eq!(row(&stage, email).await.password_hash.is_some(), has_one, "{email}");
        }
        assert_eq!(invite_all(&stage, Vec::new()).await.unwrap(), []);
    }

    /// Each asks for the same hundred in an order of its own: none waits for another for ever.
    async fn many_at_once_that_share_addresses_agree(bench: Bench) {
        let stage = std::sync::Arc::new(Stage::set(bench).await);
        for round in 0..10 {
            let answers = testkit::race(20, |number| {
                let stage = stage.clone();
                let address = move |it| wanted(&format!("{}@{round}.example.com", it % 100), false);
                let mut requests: Vec<_> = (number..number + 100).map(address).collect();
                if number % 2 == 0 {
                    requests.reverse();
                }
                async move { invite_all(&stage, requests).await.unwrap() }
            });
            let mut ids = HashMap::new();
            for user in answers.await.into_iter().flatten() {
                assert_eq!(ids.entry(user.email.clone()).or_insert(user.id.clone()), &user.id);
            }
            assert_eq!(ids.len(), 100);
        }
    }

    async fn what_is_wrong_with_one_of_many_refuses_all(bench: Bench) {
        let stage = Stage::set(bench).await;
        let wrong =
            CreateInvitedUserRequest { display_name: "a\nb".to_owned(), ..wanted("nobody", false) };
        let refused = invite_all(&stage, vec![wanted("ada@example.com", false), wrong]).await;
        assert_eq!(violations(refused), ["requests[1].email", "requests[1].display_name"]);
        let many = (0..101).map(|it| wanted(&format!("{it}@example.com"), false)).collect();
        assert_eq!(violations(invite_all(&stage, many).await), ["requests"]);
        let email = EmailAddress::parse("ada@example.com").unwrap();
        assert_eq!(user::of_email(&email).one(stage.database.read()).await.unwrap(), None);
    }

    async fn t18_an_invited_account_answers_sign_in_like_an_unknown_one_even_with_its_password(
        bench: Bench,
    ) {
        const PASSWORD: &str = "Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZmdo";
        let stage = Stage::set(bench).await;
        invite(&stage, wanted("ada@example.com", true)).await;
        // Nobody is told the password, so the test puts one in its place that it knows.
        let hash = crate::hashing::Hashing::new(1).hash(SecretString::from(PASSWORD)).await;
        let set_status = async |status: user::Status| {
            user::Entity::update_many()
                .col_expr(user::Column::PasswordHash, Expr::value(hash.as_ref().unwrap().as_str()))
                .col_expr(user::Column::Status, Expr::value(status))
                .filter(user::Column::Email.eq("ada@example.com"))
                .exec(stage.database.read())
                .await
                .unwrap();
        };
        let sign_in = async |email: &str, password: &str| {
            let (email, password) = (email.to_owned(), password.to_owned());
            stage.sessions().create_session(CreateSessionRequest { email, password }).await
        };
        set_status(user::Status::Invited).await;
        let unknown = sign_in("nobody@example.com", PASSWORD).await.unwrap_err();
        assert_eq!(reason::<()>(Err(unknown.clone())), "CREDENTIALS_INVALID");
        for password in [PASSWORD, "another password"] {
            let invited = sign_in("ada@example.com", password).await.unwrap_err();
            assert_eq!(
                (invited.code(), invited.message(), invited.details()),
                (unknown.code(), unknown.message(), unknown.details()),
            );
        }
        // The password is the right one: only the status is in the way.
        set_status(user::Status::Active).await;
        assert_eq!(reason(sign_in("ada@example.com", PASSWORD).await), "OK");
    }

    async fn only_the_scope_invites(bench: Bench) {
        let stage = Stage::set(bench).await;
        for caller in [stage.account("users.read"), stage.person()] {
            let answer = caller.users().create_invited_user(wanted("ada@example.com", true)).await;
            assert_eq!(reason(answer), "SCOPE_MISSING");
            let requests = vec![wanted("ada@example.com", true)];
            let request = BatchCreateInvitedUsersRequest { requests };
            let answer = caller.users().batch_create_invited_users(request).await;
            assert_eq!(reason(answer), "SCOPE_MISSING");
        }
    }
}
