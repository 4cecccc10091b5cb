//! Many people, organisations and invitations at once, written past the service.

use anyhow::Result;
use sea_orm::{ConnectionTrait as _, DatabaseConnection};

/// A root with members and invitations, and with organisations below it.
#[derive(Clone)]
pub struct Population {
    /// Tells populations apart; later ones have greater numbers.
    pub tag: u8,
    /// How many members the root has.
    pub members: u32,
    /// How many invitations the root has.
    pub invitations: u32,
    /// How many organisations lie directly below the root.
    pub children: u32,
    pub root: String,
    /// Below the root, in the last tier.
    pub deepest: String,
    /// Whoever is a member of every child.
    pub everywhere: String,
}

/// An application that every twentieth invitation is for.
pub const APPLICATION: &str = "01890a5d-ac96-7999-8000-000000000001";
/// Whoever made every tenth invitation.
pub const INVITER: &str = "01890a5d-ac96-7666-8000-000000000003";
/// The source of every tenth invitation; all others have one of their own.
pub const SOURCE: &str = "import";
/// Invitations at each child.
const EACH: u32 = 4;
const PLATFORM: &str = "00000000-0000-0000-0000-000000000000";
const ADMIN: &str = "00000000-0000-0000-0000-000000000002";
const USER: &str = "00000000-0000-0000-0000-000000000004";

impl Population {
    pub fn of(tag: u8, members: u32) -> Self {
        Self {
            tag,
            members,
            invitations: members / 8,
            children: (members / 200).max(20),
            root: String::new(),
            deepest: String::new(),
            everywhere: String::new(),
        }
    }

    /// The identifier of member number `n`, from 1.
    pub fn person(&self, n: u32) -> String {
        format!("01890a5d-ac96-7{:x}00-8000-{n:012x}", self.tag)
    }

    /// Whether member number `n` is active with the role `user`, as nearly all are.
    pub fn is_plain(&self, n: u32) -> bool {
        ![7, 9].contains(&(n % 1_000))
    }

    /// Whether child number `n` is archived.
    pub fn is_archived(&self, n: u32) -> bool {
        n % 50 == 7
    }

    /// The identifier of child number `n`, from 1.
    pub fn child(&self, n: u32) -> String {
        format!("01890a5d-ac96-7{:x}22-8000-{n:012x}", self.tag)
    }

    /// Writes everything, and has the database look at it.
    pub async fn write(&self, database: &DatabaseConnection) -> Result<()> {
        let statements = [self.members(), self.children(), self.invitations()].concat();
        for statement in statements {
            database.execute_unprepared(&statement).await?;
        }
        database.execute_unprepared("VACUUM ANALYZE").await?;
        Ok(())
    }

    /// An identifier of a kind, whose number is an expression.
    fn id(&self, kind: &str, number: &str) -> String {
        let begin = format!("01890a5d-ac96-7{:x}{kind}-8000-", self.tag);
        format!("('{begin}' || lpad(to_hex({number}), 12, '0'))::uuid")
    }

    /// Of a thousand members one is suspended, one is a member for a time, one an administrator.
    fn members(&self) -> Vec<String> {
        let Self { tag, root, members, .. } = self;
        let (person, membership) = (self.id("00", "n"), self.id("11", "n"));
        let (numbers, name) = (format!("generate_series(1, {members}) n"), name("n"));
        vec![
            format!(
                "INSERT INTO people (user_id, email, display_name, search_email) \
                 SELECT {person}, email, {name}, convert_to(email, 'UTF8') \
                 FROM {numbers}, concat('p', n, '-{tag}@example.com') email"
            ),
            format!(
                "INSERT INTO memberships (subject_id, organisation_id, id, created_at, \
                 search_name, state, expires_at, next_change_at) \
                 SELECT {person}, '{root}', {membership}, now(), convert_to({name}, 'UTF8'), \
                 CASE n % 1000 WHEN 7 THEN 'suspended' ELSE 'active' END, until, until \
                 FROM {numbers}, LATERAL (SELECT CASE n % 1000 WHEN 8 \
                 THEN now() + interval '1 year' END until) time"
            ),
            format!(
                "INSERT INTO membership_roles (subject_id, organisation_id, role_id) \
                 SELECT {person}, '{root}', \
                 CASE n % 1000 WHEN 9 THEN '{ADMIN}' ELSE '{USER}' END::uuid FROM {numbers}"
            ),
        ]
    }

    /// Of fifty children one is archived.
    fn children(&self) -> Vec<String> {
        let Self { root, children, everywhere, .. } = self;
        let (child, membership) = (self.id("22", "n"), self.id("44", "n"));
        let (numbers, name) = (format!("generate_series(1, {children}) n"), name("n"));
        let ancestry = [(child.as_str(), 0), (&format!("'{root}'"), 1), ("'PLATFORM'", 2)];
        let mut statements = vec![format!(
            "INSERT INTO organisations (id, parent_id, depth, display_name, search_name, version, \
             created_at, updated_at, archived_by) \
             SELECT {child}, '{root}', 2, 'School ' || {name}, \
             convert_to('school ' || {name}, 'UTF8'), 1, now(), now(), \
             CASE n % 50 WHEN 7 THEN {child} END FROM {numbers}"
        )];
        statements.extend(ancestry.map(|(ancestor, distance)| {
            let ancestor = ancestor.replace("PLATFORM", PLATFORM);
            format!(
                "INSERT INTO organisation_ancestors (organisation_id, ancestor_id, distance) \
                 SELECT {child}, {ancestor}, {distance} FROM {numbers}"
            )
        }));
        statements.push(format!(
            "INSERT INTO organisation_words (organisation_id, word) \
             SELECT {child}, convert_to(word, 'UTF8') \
             FROM {numbers}, unnest(ARRAY['school', {name}]) word"
        ));
        statements.push(format!(
            "INSERT INTO memberships (subject_id, organisation_id, id, created_at) \
             SELECT '{everywhere}', {child}, {membership}, now() FROM {numbers}"
        ));
        statements.push(format!(
            "INSERT INTO membership_roles (subject_id, organisation_id, role_id) \
             SELECT '{everywhere}', {child}, '{USER}' FROM {numbers}"
        ));
        statements
    }

    /// A tenth each is pending, declined and expired, one of a thousand revoked, the rest accepted.
    /// Those of the children come in between.
    fn invitations(&self) -> Vec<String> {
        let Self { root, invitations, children, .. } = self;
        let step = (invitations / (children * EACH)).max(1);
        let at_root = (format!("'{root}'"), "n * 10".to_owned(), *invitations);
        let child = self.id("22", &format!("n % {children} + 1"));
        let below = (child, format!("n * {step} * 10 + 1"), children * EACH);
        [at_root, below]
            .map(|(organisation, number, count)| {
                let id = self.id("33", &number);
                let (member, invitee) = (self.id("00", "n"), self.id("55", &number));
                format!(
                    "INSERT INTO invitations (id, organisation_id, email, display_name, \
                     search_name, roles, state, locale, inviter_id, inviter_kind, invitee_id, \
                     issue, expires_at, created_at, updated_at, application_id, source_id) \
                     SELECT {id}, {organisation}, concat('i', {number}, '@example.com'), \
                     {name}, convert_to({name}, 'UTF8'), 'user', state, 'en', \
                     ('01890a5d-ac96-7666-8000-' || lpad((n / 7 % 10)::text, 12, '0'))::uuid, \
                     'person', CASE state WHEN 'accepted' THEN {member} ELSE {invitee} END, 1, \
                     now() + interval '1 year', now(), now(), \
                     CASE n / 10 % 20 WHEN 0 THEN '{APPLICATION}'::uuid END, \
                     CASE n / 10 % 10 WHEN 1 THEN '{SOURCE}' ELSE 'order ' || n END \
                     FROM generate_series(1, {count}) n, LATERAL (SELECT CASE \
                     WHEN n % 10 = 0 THEN 'pending' WHEN n % 10 = 1 THEN 'declined' \
                     WHEN n % 10 = 3 THEN 'expired' WHEN n % 1000 = 2 THEN 'revoked' \
                     ELSE 'accepted' END state) its",
                    name = name("n"),
                )
            })
            .to_vec()
    }
}

/// Names in no order: twelve hexadecimal digits.
fn name(number: &str) -> String {
    format!("substr(md5({number}::text), 1, 12)")
}
