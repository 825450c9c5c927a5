//! Two real portals without windows, with a bad network between them: the cases of `docs/measurements/network.md`.
//!
//! A portal without a window counts a picture as presented when it is decoded. Both portals send and receive, and both
//! directions are made bad in the same way where nothing else is said; figures come in pairs, "A, B", what A received
//! first.

mod call;
mod chromium;
mod likeness;
mod loss;
mod narrow;
mod outage;
mod sharing;
mod start;
mod test_network;
mod windows;

use crate::Case;

/// All of them.
pub const ALL: [Case; 21] = [
    Case::long(
        "test-network",
        "the test network itself: rate, queue, delay, jitter, loss, bursts",
        test_network::check,
    ),
    Case::long(
        "windows",
        "the portals' own account beside what a probe sees in their windows, 5 % loss",
        windows::check,
    ),
    Case::long("loss-50", "random loss of 2, 5, 10 and 20 %, round trip of 50 ms", loss::round_trip_50),
    Case::long("loss-100", "the same with a round trip of 100 ms", loss::round_trip_100),
    Case::long("bursts", "5 % loss in bursts of 8 packets on average, round trip of 50 ms", loss::bursts),
    Case::long("jitter", "delay of 40 ms ± 30 ms each way", loss::jitter),
    Case::long("narrow", "3 → 1 → 3 Mb/s, queue of 250 ms, round trip of 50 ms, from A to B", narrow::one_way),
    Case::long("narrow-both", "the same both ways at once", narrow::both_ways),
    Case::long(
        "narrow-ssim",
        "likeness of what is shown to the film, 3 → 1 → 3 Mb/s, in a window",
        likeness::of_portals,
    ),
    Case::long("chromium-ssim", "the same of two Chromium", likeness::of_chromium),
    Case::long("narrow-300", "300 kb/s from the start, queue of 250 ms, round trip of 50 ms", narrow::for_ever),
    Case::long(
        "share-tcp",
        "4 Mb/s shared with one bulk TCP flow, queue of 250 ms, round trip of 50 ms",
        sharing::with_tcp,
    ),
    Case::long("share-portal", "4 Mb/s shared with a second pair of portals", sharing::with_a_portal),
    Case::long("start-3", "start on a clean path of 3 Mb/s", start::at_3),
    Case::long("start-5", "start on a clean path of 5 Mb/s", start::at_5),
    Case::long("outage-5", "no network for 5 s, signalling included", outage::of_5),
    Case::long("outage-60", "no network for 60 s, signalling included", outage::of_60),
    Case::long(
        "chromium-loss-50",
        "two Chromium, random loss of 2, 5, 10 and 20 %, round trip of 50 ms",
        chromium::loss_50,
    ),
    Case::long("chromium-loss-100", "the same with a round trip of 100 ms", chromium::loss_100),
    Case::long(
        "chromium-narrow",
        "two Chromium, 3 → 1 → 3 Mb/s, queue of 250 ms, round trip of 50 ms",
        chromium::narrow,
    ),
    Case::long("chromium-start", "two Chromium, start on a clean path of 3 and of 5 Mb/s", chromium::start),
];
