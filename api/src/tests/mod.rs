//! The API as its callers see it: a router, a temporary database, and a payment processor on a socket.

mod authority;
mod money;
mod operation;
mod room;
mod savings;
mod standing;
