//! What wakes the display: a new picture, a new view, a key; and otherwise hardly anything.
//!
//! Winit's loop sleeps until something happens. A picture handed over wakes it through an event loop proxy; waking per picture is
//! both the fastest and the cheapest way to show it (7 ms at the median, against 17 ms for looking every 16 ms).

use super::Inputs;
use crate::media::{Frame, mailbox};
use bevy::prelude::*;
use bevy::tasks::IoTaskPool;
use bevy::winit::{EventLoopProxyWrapper, UpdateMode, WinitSettings, WinitUserEvent};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long the far end's picture must have been missing before one's own picture wakes the display by itself. Until then it rides
/// along: waking for both would draw everything twice as often.
const ALONE_AFTER: Duration = Duration::from_millis(100);

/// How often the display looks around when nothing wakes it.
const CALM: Duration = Duration::from_secs(1);

/// How often a slate's light moves.
const SLATE_STEP: Duration = Duration::from_millis(200);

/// How long a slate stands still.
pub fn slate_stands(with_own_picture: bool) -> Duration {
    // Somebody looks at himself: smooth enough, still cheap. The wake-ups are those of his camera.
    let step = if with_own_picture { Duration::from_millis(66) } else { SLATE_STEP };
    step.saturating_sub(Duration::from_millis(8))
}

/// Connects the waker, follows the view, and lets the loop sleep.
pub struct WakePlugin {
    inputs: Mutex<Option<Woken>>,
}

/// What the waker looks at.
struct Woken {
    remote: mailbox::Receiver<Arc<Frame>>,
    self_view: mailbox::Receiver<Arc<Frame>>,
    view: tokio::sync::watch::Receiver<crate::ops::View>,
    stop: Arc<AtomicBool>,
    waker: crate::media::Waker,
    handed_over: HandedOver,
}

/// When the far end's newest picture was handed over: the start of the time until it is presented.
#[derive(Clone, Debug, Resource)]
pub struct HandedOver {
    origin: Instant,
    /// Microseconds after `origin`.
    at: Arc<AtomicU64>,
}

impl Default for HandedOver {
    fn default() -> Self {
        Self { origin: Instant::now(), at: Arc::default() }
    }
}

impl HandedOver {
    fn mark(&self, now: Instant) {
        self.at.store(now.saturating_duration_since(self.origin).as_micros() as u64, Relaxed);
    }

    /// The moment of the last hand-over.
    pub fn at(&self) -> Instant {
        self.origin + Duration::from_micros(self.at.load(Relaxed))
    }
}

impl WakePlugin {
    /// For these inputs; `handed_over` is filled in.
    pub fn new(inputs: &Inputs, handed_over: HandedOver) -> Self {
        let woken = Woken {
            remote: inputs.remote.clone(),
            self_view: inputs.self_view.clone(),
            view: inputs.view.clone(),
            stop: inputs.stop.clone(),
            waker: inputs.waker.clone(),
            handed_over,
        };
        Self { inputs: Mutex::new(Some(woken)) }
    }
}

impl Plugin for WakePlugin {
    fn build(&self, app: &mut App) {
        // A wake-up asks winit for a redraw, and the redraw is a window event: reacting to both would run each update twice.
        let mode = |wait| UpdateMode::Reactive {
            wait,
            react_to_device_events: false,
            react_to_user_events: false,
            react_to_window_events: true,
        };
        app.insert_resource(WinitSettings { focused_mode: mode(CALM), unfocused_mode: mode(CALM) });
        app.insert_resource(Pace { calm: mode(CALM), slate: mode(SLATE_STEP) });
    }

    fn finish(&self, app: &mut App) {
        let woken = self.inputs.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let (Some(woken), Some(proxy)) = (woken, app.world().get_resource::<EventLoopProxyWrapper>()) else { return };
        let proxy = (**proxy).clone();
        let mut view = woken.view.clone();
        let wake_for_view = proxy.clone();
        IoTaskPool::get()
            .spawn(async move {
                // Ends with the portal: the sender is dropped, or the loop is gone.
                while view.changed().await.is_ok() && wake_for_view.send_event(WinitUserEvent::WakeUp).is_ok() {}
            })
            .detach();
        let Woken { remote, self_view, stop, waker, handed_over, .. } = woken;
        let origin = Instant::now();
        let last_remote = AtomicU64::new(0);
        waker.connect(move || {
            let now = Instant::now();
            let since_origin = now.saturating_duration_since(origin);
            let alone = since_origin.saturating_sub(Duration::from_micros(last_remote.load(Relaxed))) > ALONE_AFTER;
            let remote_waits = remote.is_full();
            if remote_waits {
                handed_over.mark(now);
                last_remote.store(since_origin.as_micros() as u64, Relaxed);
            }
            // Neither mailbox is full when somebody else calls, to stop us for instance.
            if remote_waits || alone || !self_view.is_full() || stop.load(Relaxed) {
                // Fails only when the loop has ended, and then there is nobody to wake.
                let _ = proxy.send_event(WinitUserEvent::WakeUp);
            }
        });
    }
}

/// How long the loop may sleep.
#[derive(Resource, Clone, Copy)]
pub struct Pace {
    calm: UpdateMode,
    slate: UpdateMode,
}

impl Pace {
    /// With a slate in view its light moves; otherwise nothing has to happen by itself.
    pub fn set(&self, settings: &mut ResMut<WinitSettings>, slate: bool) {
        let mode = if slate { self.slate } else { self.calm };
        if settings.focused_mode != mode {
            settings.focused_mode = mode;
            settings.unfocused_mode = mode;
        }
    }
}
