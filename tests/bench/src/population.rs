//! Many people at once, written past the service.

use anyhow::Result;
use sea_orm::{ConnectionTrait as _, DatabaseConnection};

/// Makes `count` people members of an organisation with the role `user`. Number `n` has the
/// identifier [`person`].
pub async fn populate(
    connection: &DatabaseConnection,
    organisation: &str,
    tag: u8,
    count: u32,
) -> Result<()> {
    // The built-in role `user`.
    const ROLE: &str = "00000000-0000-0000-0000-000000000004";
    let id = |kind: &str| {
        format!("('01890a5d-ac96-7{tag:01x}{kind}-8000-' || lpad(to_hex(n), 12, '0'))::uuid")
    };
    let (person, membership) = (id("00"), id("11"));
    let numbers = format!("FROM generate_series(1, {count}) n");
    for statement in [
        format!(
            "INSERT INTO people (user_id, email, display_name) \
             SELECT {person}, 'p' || n || '-{tag}@example.com', 'Person ' || n {numbers}"
        ),
        format!(
            "INSERT INTO memberships (subject_id, organisation_id, id, created_at, search_name) \
             SELECT {person}, '{organisation}', {membership}, now(), \
             convert_to('person ' || n, 'UTF8') {numbers}"
        ),
        format!(
            "INSERT INTO membership_roles (subject_id, organisation_id, role_id) \
             SELECT {person}, '{organisation}', '{ROLE}' {numbers}"
        ),
    ] {
        connection.execute_unprepared(&statement).await?;
    }
    connection.execute_unprepared("ANALYZE").await?;
    Ok(())
}

/// The identifier of person number `n` (from 1) of a population.
pub fn person(tag: u8, n: u32) -> String {
    format!("01890a5d-ac96-7{tag:01x}00-8000-{n:012x}")
}
