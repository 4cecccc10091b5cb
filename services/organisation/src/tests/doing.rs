mod invitations;
mod memberships;
mod organisations;
mod roles;
