//! Where words and figures are painted: a picture of its own, upright, painted only when it changes.
//!
//! Bevy's UI draws into this image instead of the window. While nothing changes its camera is off and costs nothing, the video goes on in
//! its one pass, and what was painted is laid over it there, only where something is. Rotation comes for free: the canvas is upright.

use super::config::Rotation;
use super::fit::{Area, Extent};
use super::overlays::Followed;
use bevy::camera::{CameraOutputMode, CameraUpdateSystems, ClearColorConfig, RenderTarget};
use bevy::prelude::*;
use bevy::render::render_resource::TextureFormat;
use bevy::text::FontAtlasSet;
use bevy::ui::{IsDefaultUiCamera, UiSystems};
use bevy::window::{PrimaryWindow, RequestRedraw};

/// For how many updates the canvas is painted after a change: glyphs and new images reach the render world one update late.
const SETTLE: u8 = 3;

/// The canvas.
#[derive(Resource, Debug)]
pub struct Canvas {
    rotation: Rotation,
    size: Extent,
    image: Handle<Image>,
    left_to_paint: u8,
    painting: bool,
    used: Option<Area>,
}

impl Canvas {
    /// Something on it has changed.
    pub fn touch(&mut self) {
        self.left_to_paint = SETTLE;
    }

    /// Its size in pixels: the window's, upright.
    pub fn size(&self) -> Extent {
        self.size
    }

    /// What is painted into.
    pub fn image(&self) -> AssetId<Image> {
        self.image.id()
    }

    /// Whether it is being painted in this update.
    pub fn is_painting(&self) -> bool {
        self.painting
    }

    /// The part that something is on; `None` when it is empty.
    pub fn used(&self) -> Option<Area> {
        self.used
    }
}

/// Marks a block of words or figures: the canvas is laid over the picture where such blocks are.
#[derive(Component, Default)]
pub struct Block;

/// Makes the canvas and its camera.
pub struct CanvasPlugin {
    /// How the window is turned.
    pub rotation: Rotation,
}

impl Plugin for CanvasPlugin {
    fn build(&self, app: &mut App) {
        let canvas = Canvas {
            rotation: self.rotation,
            size: Extent::new(1, 1),
            image: Handle::default(),
            left_to_paint: 0,
            painting: false,
            used: None,
        };
        app.insert_resource(canvas)
            .add_systems(Startup, spawn_camera)
            .add_systems(PostUpdate, (follow_window, paint).chain().before(CameraUpdateSystems))
            .add_systems(PostUpdate, measure.after(UiSystems::PostLayout))
            // Hundreds of nodes are laid out again only when something on the canvas has changed.
            .configure_sets(
                PostUpdate,
                (
                    UiSystems::Prepare,
                    UiSystems::Propagate,
                    UiSystems::Content,
                    UiSystems::Layout,
                    UiSystems::PostLayout,
                    UiSystems::Stack,
                )
                    .run_if(|canvas: Res<Canvas>| canvas.painting),
            );
    }
}

fn spawn_camera(mut commands: Commands, mut canvas: ResMut<Canvas>, mut images: ResMut<Assets<Image>>) {
    canvas.image = images.add(blank(canvas.size));
    commands.spawn((
        Camera2d,
        Msaa::Off,
        IsDefaultUiCamera,
        Camera {
            is_active: false,
            clear_color: ClearColorConfig::Custom(Color::NONE),
            output_mode: CameraOutputMode::Write {
                blend_state: None,
                clear_color: ClearColorConfig::Custom(Color::NONE),
            },
            ..default()
        },
        RenderTarget::Image(canvas.image.clone().into()),
    ));
}

fn blank(size: Extent) -> Image {
    // Written as sRGB by Bevy, read as it is stored by us.
    let mut image = Image::new_target_texture(
        size.width,
        size.height,
        TextureFormat::Rgba8Unorm,
        Some(TextureFormat::Rgba8UnormSrgb),
    );
    // Painted before it is shown: nothing to upload, and nothing to carry over from another size.
    (image.data, image.copy_on_resize) = (None, false);
    image
}

fn follow_window(
    live: Res<Followed>,
    mut canvas: ResMut<Canvas>,
    mut images: ResMut<Assets<Image>>,
    mut glyphs: ResMut<FontAtlasSet>,
    windows: Query<&Window, With<PrimaryWindow>>,
    mut cameras: Query<&mut RenderTarget, With<IsDefaultUiCamera>>,
) {
    let (Ok(window), Ok(mut target)) = (windows.single(), cameras.single_mut()) else { return };
    canvas.bypass_change_detection().rotation = live.0.config.rotation();
    let size = Extent::new(window.physical_width(), window.physical_height()).turned(canvas.rotation);
    if size != canvas.size {
        canvas.size = size;
        // Words are as large as the window wants, and Bevy keeps what it has drawn of each size for ever: 2 MB more with each new size of the window.
        glyphs.clear();
        canvas.image = images.add(blank(size));
        *target = RenderTarget::Image(canvas.image.clone().into());
        canvas.touch();
    }
}

fn paint(
    mut canvas: ResMut<Canvas>,
    mut cameras: Query<&mut Camera, With<IsDefaultUiCamera>>,
    mut redraw: MessageWriter<RequestRedraw>,
) {
    let Ok(mut camera) = cameras.single_mut() else { return };
    canvas.painting = canvas.left_to_paint > 0;
    if camera.is_active != canvas.painting {
        camera.is_active = canvas.painting;
    }
    if canvas.painting {
        canvas.left_to_paint -= 1;
        redraw.write(RequestRedraw);
    }
}

fn measure(
    mut canvas: ResMut<Canvas>,
    blocks: Query<(&ComputedNode, &UiGlobalTransform, &InheritedVisibility), With<Block>>,
) {
    if !canvas.painting {
        return;
    }
    let mut all: Option<Rect> = None;
    for (node, transform, visible) in &blocks {
        if visible.get() && node.size().min_element() > 0.0 {
            // Two pixels of room for what glyphs stick out of their lines.
            let block = Rect::from_center_size(transform.translation, node.size() + 4.0);
            all = Some(all.map_or(block, |all| all.union(block)));
        }
    }
    canvas.used = all.and_then(|all| {
        let (min, max) = (all.min.max(Vec2::ZERO).floor(), all.max.max(Vec2::ZERO).ceil());
        let size = max - min;
        Area { x: min.x as u32, y: min.y as u32, width: size.x as u32, height: size.y as u32 }.clipped(canvas.size)
    });
}
