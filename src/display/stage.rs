//! The last step of each update: takes the newest pictures, draws all that is seen in one pass, presents it, and counts.
//!
//! It runs at the very end of Bevy's render graph. So a picture is taken from its mailbox as late as can be, what Bevy's UI has painted is
//! there, and nothing waits for anything.

use super::canvas::Canvas;
use super::config::{Config, Rotation};
use super::fit::{Affine, Area, Extent, place};
use super::gpu::is_software;
use super::overlays::{Followed, Overlays, Shown};
use super::painter::{Overlay, Painter, Scene};
use super::planes::Finish;
use super::privacy::{self, Stance};
use super::stream::{Room, Stream};
use super::surface::{Acquired, Surface};
use super::wake::{HandedOver, slate_stands};
use super::wear::{self, Look, Wear};
use super::{Brightness, Remedies, self_view, slates};
use crate::media::{Eras, Frame, is_stale, mailbox};
use crate::ops::{CameraState, Figures, Slate, View};
use bevy::prelude::*;
use bevy::render::render_asset::RenderAssets;
use bevy::render::renderer::{
    RenderAdapter, RenderDevice, RenderGraph, RenderGraphSystems, RenderInstance, RenderQueue,
};
use bevy::render::texture::GpuImage;
use bevy::render::view::{ExtractedWindow, ExtractedWindows, create_surfaces, prepare_windows};
use bevy::render::{Extract, ExtractSchedule, Render, RenderApp, RenderStartup};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Where the pictures come from and what is counted.
#[derive(Clone, Debug)]
pub struct Feed {
    /// The far end's pictures.
    pub remote: mailbox::Receiver<Arc<Frame>>,
    /// One's own.
    pub self_view: mailbox::Receiver<Arc<Frame>>,
    /// What may be shown. Read at the last moment, not copied at the start of the update.
    pub view: tokio::sync::watch::Receiver<View>,
    /// Presented pictures are counted here.
    pub figures: Arc<Figures>,
    /// Pictures of an earlier era are not shown.
    pub eras: Eras,
    /// When the far end's newest picture was handed over.
    pub handed_over: HandedOver,
    /// Asked for a new window where a lost device has spoiled the old one.
    pub remedies: Remedies,
}

/// Owns the window's surface and all that is drawn into it.
pub struct StagePlugin {
    feed: Mutex<Option<(Feed, Config)>>,
}

impl StagePlugin {
    /// A stage for these pictures.
    pub fn new(feed: Feed, config: Config) -> Self {
        Self { feed: Mutex::new(Some((feed, config))) }
    }
}

impl Plugin for StagePlugin {
    fn build(&self, app: &mut App) {
        let feed = self.feed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let (Some((feed, config)), Some(render)) = (feed, app.get_sub_app_mut(RenderApp)) else { return };
        render
            .insert_resource(Stage::new(feed, config))
            .init_resource::<Wanted>()
            .add_systems(RenderStartup, forget)
            .add_systems(ExtractSchedule, extract)
            .add_systems(Render, claim.before(create_surfaces).before(prepare_windows))
            .add_systems(RenderGraph, show.in_set(RenderGraphSystems::Finish));
    }
}

/// What the main world wants to be shown, besides pictures.
#[derive(Resource, Default)]
struct Wanted {
    canvas: Option<AssetId<Image>>,
    canvas_size: Extent,
    used: Option<Area>,
    repainted: bool,
    slate_painted: Slate,
    self_view: bool,
    /// Whether somebody looks at figures, keys or settings.
    panel: bool,
    /// Another configuration than the stage has, if so.
    config: Option<(Config, String)>,
}

fn extract(
    mut wanted: ResMut<Wanted>,
    canvas: Extract<Res<Canvas>>,
    overlays: Extract<Res<Overlays>>,
    shown: Extract<Res<Shown>>,
    live: Extract<Res<Followed>>,
) {
    // Kept until there is a window that it can be used for.
    let changed = live.is_changed().then(|| (live.0.config.clone(), live.0.time_zone.clone()));
    let config = changed.or(wanted.config.take());
    *wanted = Wanted {
        canvas: Some(canvas.image()),
        canvas_size: canvas.size(),
        used: canvas.used(),
        repainted: canvas.is_painting(),
        slate_painted: shown.0.slate,
        self_view: overlays.self_view(),
        panel: overlays.any(),
        config,
    };
}

/// Hides the window from Bevy's own surfaces: there can be only one swapchain per window.
fn claim(mut windows: ResMut<ExtractedWindows>, mut stage: ResMut<Stage>) {
    let primary = windows.primary;
    stage.window = primary.and_then(|primary| windows.windows.remove(&primary));
}

/// A new device: everything that was made on the old one is gone.
fn forget(mut stage: ResMut<Stage>) {
    // Whoever has drawn since the last update may have lost the device between taking the window's image and presenting it.
    if let (true, Some((window, surface))) = (stage.has_drawn, stage.surface.take()) {
        surface.abandon();
        stage.spoiled = Some(window);
        stage.feed.remedies.new_window();
    }
    stage.surface = None;
    stage.graphics = None;
    stage.redraw = true;
}

/// What is made once per device and format.
#[derive(Debug)]
struct Graphics {
    painter: Painter,
    remote: Stream,
    own: Stream,
    overlay: Option<(AssetId<Image>, Overlay)>,
}

#[derive(Resource)]
struct Stage {
    feed: Feed,
    config: Config,
    started: Instant,
    window: Option<ExtractedWindow>,
    surface: Option<(Entity, Surface)>,
    /// A window that can have no other surface; another window is on its way.
    spoiled: Option<Entity>,
    /// Whether an image of the window was taken in the last update.
    has_drawn: bool,
    graphics: Option<Graphics>,
    /// Something must be drawn although no new picture came.
    redraw: bool,
    /// What was drawn last: the slate's background (and when) or the picture; one's own.
    backdrop_drawn: Option<Instant>,
    inset_drawn: bool,
    slate: Slate,
    /// Since when that slate is there.
    slate_since: Instant,
    wear: Wear,
    look: Look,
    /// Pictures that arrived and still have to be counted as presented.
    pending: Option<Pending>,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    captured: Option<Instant>,
    handed_over: Instant,
    size: crate::media::Size,
}

impl Stage {
    fn new(feed: Feed, config: Config) -> Self {
        let started = Instant::now();
        Self {
            feed,
            started,
            window: None,
            surface: None,
            spoiled: None,
            has_drawn: false,
            graphics: None,
            redraw: true,
            backdrop_drawn: None,
            inset_drawn: false,
            slate: Slate::default(),
            slate_since: started,
            wear: Wear::new(levels(&config), "", started),
            look: Look { brightness: 1.0, drift: (0, 0) },
            pending: None,
            config,
        }
    }
}

/// Shows what is to be seen now, if that differs from what is seen.
fn show(
    mut stage: ResMut<Stage>,
    mut wanted: ResMut<Wanted>,
    images: Res<RenderAssets<GpuImage>>,
    instance: Res<RenderInstance>,
    adapter: Res<RenderAdapter>,
    device: Res<RenderDevice>,
    queue: Res<RenderQueue>,
) {
    let stage = &mut *stage;
    stage.has_drawn = false;
    let device = device.wgpu_device();
    let Some(window) = stage.window.take() else {
        // No window (its monitor went): nothing to draw into, and a surface must not outlive its window for long.
        (stage.surface, stage.redraw) = (None, true);
        return;
    };
    if let Some((config, time_zone)) = wanted.config.take() {
        stage.configure(config, &time_zone);
    }
    if !stage.open(&instance, &adapter, device, &window) {
        return;
    }
    stage.redraw |= wanted.repainted;
    let Some(Seen { slate, stance, camera }) = stage.take_pictures(device, &queue, wanted.self_view) else { return };
    let now = Instant::now();
    let visible = stage.visible((slate, stance), &camera, wanted.self_view, now);
    if !stage.is_due(visible, now) {
        return;
    }
    stage.draw(device, &queue, &wanted, &images, slate, visible, now);
}

/// The view by which it was decided what may be seen.
struct Seen {
    slate: Slate,
    stance: Stance,
    camera: CameraState,
}

/// Which pictures are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Visible {
    remote: bool,
    own: bool,
}

impl Stage {
    /// Another configuration: what depends on it is made anew, and drawn at once.
    fn configure(&mut self, config: Config, time_zone: &str) {
        self.wear = Wear::new(levels(&config), time_zone, self.started);
        if let Some(graphics) = &mut self.graphics {
            // The words were laid out for another way up.
            graphics.overlay = None;
        }
        if config.present_mode != self.config.present_mode {
            self.surface = None;
        }
        (self.config, self.redraw) = (config, true);
    }

    /// Makes or follows the window's surface. False while there is none.
    fn open(
        &mut self,
        instance: &wgpu::Instance,
        adapter: &wgpu::Adapter,
        device: &wgpu::Device,
        window: &ExtractedWindow,
    ) -> bool {
        let size = Extent::new(window.physical_width, window.physical_height);
        if self.spoiled == Some(window.entity) {
            return false;
        }
        if self.surface.as_ref().is_none_or(|(entity, _)| *entity != window.entity) {
            self.surface = None;
            let made = Surface::new(instance, adapter, device, window.handle.clone(), size, self.config.present_mode);
            match made {
                Ok(surface) => {
                    tracing::debug!(after_ms = self.started.elapsed().as_millis(), "window surface ready");
                    self.surface = Some((window.entity, surface));
                }
                Err(error) => {
                    // Tried again with the next update, once a second at least: a monitor may be on its way out.
                    tracing::warn!(error, "the window's surface cannot be made");
                    return false;
                }
            }
            self.redraw = true;
        }
        let Some((_, surface)) = &mut self.surface else { return false };
        self.redraw |= surface.resize(device, size);
        if self.graphics.as_ref().is_none_or(|graphics| graphics.painter.target() != surface.format()) {
            let painter = Painter::new(device, surface.format(), is_software(adapter));
            self.graphics =
                Some(Graphics { painter, remote: Stream::default(), own: Stream::default(), overlay: None });
        }
        true
    }

    /// Takes what is in the mailboxes and copies to the device what may be seen. Returns what this was decided by.
    fn take_pictures(&mut self, device: &wgpu::Device, queue: &wgpu::Queue, self_view: bool) -> Option<Seen> {
        let graphics = self.graphics.as_mut()?;
        let surface = &self.surface.as_ref()?.1;
        let rotation = self.config.rotation();
        let canvas = surface.size().turned(rotation);
        let look = self.wear.look(canvas.vmin(), Instant::now());
        // What drifts is drawn again; a level that changes is followed by what is drawn anyway, each second at least.
        self.redraw |= look != self.look;
        self.look = look;
        let direct = (surface.takes_copies() && rotation == Rotation::None).then_some(surface.format());
        let seen = {
            let view = self.feed.view.borrow();
            Seen { slate: view.slate, stance: privacy::stance(&view), camera: view.camera.clone() }
        };
        // A picture may have lain here for hours, if there was no window meanwhile.
        let (eras, now) = (&self.feed.eras, Instant::now());
        let fresh = |frame: &Arc<Frame>| !frame.captured.is_some_and(|captured| is_stale(captured, now));
        let frame = self.feed.remote.take().filter(|frame| eras.far.holds(frame.era) && fresh(frame));
        if seen.stance == Stance::Refuse {
            // Dropped with what was shown before: nobody will see either again.
            graphics.remote = Stream::default();
            self.pending = None;
        } else if let Some(frame) = frame {
            let start = Instant::now();
            let size = frame.format.size;
            let captured = frame.captured;
            let brightness = self.look.brightness;
            let room = Room { area: Area::whole(canvas), fit: self.config.fit, direct, brightness };
            graphics.remote.put(&graphics.painter, device, queue, frame, room);
            let end = Instant::now();
            self.feed.figures.upload_time.record(end.saturating_duration_since(start), end);
            self.pending = Some(Pending { captured, handed_over: self.feed.handed_over.at(), size });
        }
        let own_private = seen.slate == Slate::Private || seen.camera == CameraState::Private;
        let eras = &self.feed.eras;
        let frame = self.feed.self_view.take().filter(|frame| eras.own.holds(frame.era) && fresh(frame));
        if own_private || !self_view {
            graphics.own = Stream::default();
        } else if let Some(frame) = frame {
            let area = self_view::inset(frame.format.size, canvas).0;
            let room = Room { area, fit: super::Fit::Cover, direct: None, brightness: 1.0 };
            graphics.own.put(&graphics.painter, device, queue, frame, room);
        }
        Some(seen)
    }

    fn visible(
        &self,
        (slate, stance): (Slate, Stance),
        camera: &CameraState,
        self_view: bool,
        now: Instant,
    ) -> Visible {
        let arrived = |stream: fn(&Graphics) -> &Stream| self.graphics.as_ref().and_then(|all| stream(all).arrived);
        Visible {
            remote: privacy::shows_remote(stance, arrived(|all| &all.remote), now),
            own: self_view && privacy::shows_self_view(slate, camera, arrived(|all| &all.own), now),
        }
    }

    /// Whether what is to be seen differs from what is seen.
    fn is_due(&mut self, visible: Visible, now: Instant) -> bool {
        let slate = self.feed.view.borrow().slate;
        let changed = slate != self.slate
            || visible.remote == self.backdrop_drawn.is_some()
            || visible.own != self.inset_drawn
            || self.redraw;
        let picture = visible.remote && self.pending.is_some();
        // Without a picture the light moves, and one's own picture with it, or at its own pace if somebody watches it.
        let light =
            self.backdrop_drawn.is_some_and(|drawn| now.saturating_duration_since(drawn) >= slate_stands(visible.own));
        changed || picture || (!visible.remote && light)
    }

    #[expect(clippy::too_many_arguments, reason = "the one place where everything meets")]
    fn draw(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        wanted: &Wanted,
        images: &RenderAssets<GpuImage>,
        slate: Slate,
        visible: Visible,
        now: Instant,
    ) {
        let (Some((_, surface)), Some(graphics)) = (&self.surface, &mut self.graphics) else { return };
        let pixels = graphics.remote.pixels.as_ref().filter(|_| visible.remote);
        if pixels.is_some_and(|pixels| pixels.size() != surface.size()) {
            // The window has changed since: what is seen stays until the next picture, a moment later.
            return;
        }
        let image = match surface.acquire(device) {
            Acquired::Image(image) => image,
            Acquired::Later => {
                self.redraw = true;
                return;
            }
            Acquired::Lost => {
                (self.surface, self.redraw) = (None, true);
                return;
            }
        };
        self.has_drawn = true;
        let window = surface.size();
        let rotation = self.config.rotation();
        let canvas = window.turned(rotation);
        let Graphics { painter, remote, own, overlay } = graphics;
        let software = painter.is_software();
        let Look { brightness, drift } = self.look;
        if slate != self.slate {
            self.slate_since = now;
        }
        let slate_since = self.slate_since;

        let pixels = remote.pixels.as_ref().filter(|_| visible.remote);
        if let Some(pixels) = pixels {
            pixels.write(queue, &image.texture);
        }
        let keep = pixels.is_some();
        let mut scene = Scene { keep, backdrop: !visible.remote, ..Scene::default() };
        if scene.backdrop {
            let mut backdrop = slates::backdrop(slate, now.saturating_duration_since(self.started));
            backdrop.brightness = brightness;
            painter.set_backdrop(queue, &backdrop, window, Affine::upright(rotation));
        }
        if let (true, Some(planes)) = (visible.remote, &mut remote.planes) {
            let size = planes.format().size;
            let placement = place(size, Area::whole(canvas), canvas, self.config.fit, rotation, false);
            planes.aim(queue, &placement, Finish { radius: 0.0, brightness }, software);
            painter.prepare(device, planes);
            scene.picture = Some((planes, placement.area));
        }
        if let (true, Some(planes)) = (visible.own, &mut own.planes) {
            let size = planes.format().size;
            let (area, radius) = self_view::inset(size, canvas);
            let area = area.shifted(drift, canvas);
            let placement = place(size, area, canvas, super::Fit::Cover, rotation, true);
            planes.aim(queue, &placement, Finish { radius, brightness }, software);
            painter.prepare(device, planes);
            scene.inset = Some((planes, placement.area));
        }
        // What was painted for another slate or another size is not shown over this one: the right one is an update away.
        let fits = wanted.canvas_size == canvas
            && wanted.slate_painted == slate
            && (visible.remote == (slate == Slate::Hidden));
        let used = wanted.used.filter(|_| fits);
        if let (Some(area), Some(id)) = (used, wanted.canvas)
            && let Some(canvas_image) = images.get(id)
        {
            if overlay.as_ref().is_none_or(|(known, _)| *known != id) {
                let view = canvas_image.texture.create_view(&wgpu::TextureViewDescriptor {
                    format: Some(wgpu::TextureFormat::Rgba8Unorm),
                    ..Default::default()
                });
                *overlay = Some((id, painter.overlay(device, &view)));
            }
            if let Some((_, overlay)) = overlay {
                // Panels are for those who have just asked for them; what a slate says, everybody has read after a while.
                let bright = if wanted.panel { 1.0 } else { wear::words(now.saturating_duration_since(slate_since)) };
                let shift = [drift.0 as f32 / canvas.width as f32, drift.1 as f32 / canvas.height as f32];
                overlay.aim(queue, Affine::upright(rotation), shift, brightness * bright);
                scene.overlay = Some((&*overlay, area.shifted(drift, canvas).on_window(canvas, rotation)));
            }
        }

        let view = image.texture.create_view(&wgpu::TextureViewDescriptor::default());
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        if !keep || scene.inset.is_some() || scene.overlay.is_some() {
            painter.draw(&mut encoder, &view, window, &scene);
        }
        self.inset_drawn = scene.inset.is_some();
        queue.submit([encoder.finish()]);
        image.present();
        self.feed.figures.link.display_presents.one();

        self.redraw = false;
        self.slate = slate;
        self.backdrop_drawn = (!visible.remote).then_some(now);
        if visible.remote
            && let Some(pending) = self.pending.take()
        {
            let now = Instant::now();
            let figures = &self.feed.figures;
            figures.presented(pending.captured, now);
            figures.present_time.record(now.saturating_duration_since(pending.handed_over), now);
            figures.incoming.width.set(u64::from(pending.size.width));
            figures.incoming.height.set(u64::from(pending.size.height));
        }
    }
}

fn levels(config: &Config) -> Brightness {
    // Checked when the configuration was read.
    Brightness::parse(&config.dim).unwrap_or_default()
}
