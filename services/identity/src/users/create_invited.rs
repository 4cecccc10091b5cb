use api::identity::v1::{CreateInvitedUserRequest, CreateInvitedUserResponse};
use kernel::{DisplayName, EmailAddress, Fields};
use ring::rand::{SecureRandom as _, SystemRandom};
use sea_orm::{ActiveValue::Set, EntityTrait as _, sea_query::OnConflict};
use secrecy::SecretString;
use service::Caller;

use crate::{Identity, domain::password, entity::user, error::Error};

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
    let CreateInvitedUserRequest { email, display_name, random_password } = request;
    let mut fields = Fields::default();
    let email = fields.read("email", EmailAddress::parse(&email));
    let name = fields.read_optional("display_name", &display_name, DisplayName::parse);
    let (Some(email), Some(name)) = (email, name) else {
        return Err(Error::Invalid(fields));
    };
    if !caller.has_scope("users.invite") {
        return Err(Error::ScopeMissing("users.invite"));
    }

    let database = identity.database.read();
    if let Some(user) = user::of_email(&email).one(database).await? {
        return Ok(CreateInvitedUserResponse { user: Some(user.into()) });
    }
    let password_hash = match random_password {
        true => Some(identity.hashing.hash(new_password()?).await?),
        false => None,
    };
    let now = identity.clock.now();
    let user = user::ActiveModel {
        id: Set(identity.clock.new_id()),
        email: Set(email.as_str().to_owned()),
        display_name: Set(name.map(String::from).unwrap_or_default()),
        status: Set(user::Status::Invited),
        password_hash: Set(password_hash),
        is_platform_owner: Set(false),
        created_at: Set(now),
        updated_at: Set(now),
    };
    // Of two that invite the same address at once, one creates; both read what there is.
    let taken = OnConflict::column(user::Column::Email).do_nothing().to_owned();
    user::Entity::insert(user).on_conflict(taken).exec_without_returning(database).await?;
    let user = user::of_email(&email).one(database).await?.ok_or(Error::UserNotFound)?;
    Ok(CreateInvitedUserResponse { user: Some(user.into()) })
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
    use crate::testing::{Stage, reason};

    testkit::on_both_databases!(
        a_random_password_is_hashed_and_told_to_nobody,
        without_asking_there_is_no_password,
        an_existing_account_is_unchanged,
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
        }
    }
}
