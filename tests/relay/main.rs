//! Two portals that do not reach each other meet through other people's machines: what works, and what whoever owns those machines can and cannot do.

mod attacks;
mod broker;
mod hub;
mod mosquitto;
mod portal;
mod proxy;
