//! Real V4L2 devices: the kernel's own test camera and a USB camera, in the virtual machine of `tests/rig`.
//!
//! Each test runs itself again inside the machine and does its work there; where the rig has no kernel it is skipped.
//! The machine is slow: what is judged in it is behaviour, and how long it takes to come back, not how many pictures a second.

mod capture;
mod drawing;
mod far_end;
mod portal;
mod process;
mod rig;
mod several;
