//! Real time: Socket.IO v5 at `/socket.io/`, namespace `/`, for an unmodified client.
//!
//! What a client sends is queued per socket and worked through in order ([`queue`], [`events`]). What members are told comes through one place
//! for each replica ([`delivery`]), in order and without gaps, however it got there ([`fanout`]).

mod attendance;
mod calm;
mod delivery;
mod events;
mod fanout;
mod fetch;
mod first_ping;
mod handshake;
mod hub;
mod inlet;
mod live;
mod order;
mod passing;
mod presence;
mod queue;
mod revocation;
mod roll_call;

pub use attendance::Attendance;
pub use calm::Calm;
pub use delivery::Delivery;
pub use events::Events;
pub use fanout::{Fanout, Relay, fanout};
pub use first_ping::{Accepted, FirstPing, FirstPingLayer};
pub use handshake::{Realtime, layer};
pub use hub::Hub;
pub use inlet::{Inlet, Outlet, inlet};
pub use live::Live;
pub use presence::Presence;
pub use revocation::Revocations;
