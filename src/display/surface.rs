//! The window's images, owned by us instead of by Bevy.
//!
//! Bevy draws each camera into an intermediate texture and copies that to an sRGB image of the window: two more full-screen passes and
//! two conversions for a picture that already is what the monitor wants. Owning the surface lets us draw the video once, through a view
//! without sRGB conversion. Bevy still owns the window itself.

use super::config::PresentMode;
use super::fit::Extent;
use super::gpu::is_software;
use bevy::window::RawHandleWrapper;
use tracing::{debug, warn};

/// A window's surface and its swapchain.
#[derive(Debug)]
pub struct Surface {
    surface: wgpu::Surface<'static>,
    config: wgpu::SurfaceConfiguration,
    /// Keeps the window alive for as long as the surface needs it. Dropped last.
    _window: RawHandleWrapper,
}

/// What came of asking for the window's next image.
#[derive(Debug)]
pub enum Acquired {
    /// Here it is.
    Image(wgpu::SurfaceTexture),
    /// None now (the window is covered, or is being resized): try again later.
    Later,
    /// The surface is gone for good: make another.
    Lost,
}

impl Surface {
    /// The surface of a window. `Err` says in one line what the driver objects to.
    pub fn new(
        instance: &wgpu::Instance,
        adapter: &wgpu::Adapter,
        device: &wgpu::Device,
        window: RawHandleWrapper,
        size: Extent,
        mode: PresentMode,
    ) -> Result<Self, String> {
        let target = wgpu::SurfaceTargetUnsafe::RawHandle {
            raw_display_handle: Some(window.get_display_handle()),
            raw_window_handle: window.get_window_handle(),
        };
        // SAFETY: the handles are those of a living window, which `_window` keeps alive until the surface is dropped: fields are dropped
        // in the order of their declaration.
        let surface = unsafe { instance.create_surface_unsafe(target) }.map_err(|error| error.to_string())?;
        let offered = surface.get_capabilities(adapter);
        let plain = [wgpu::TextureFormat::Bgra8Unorm, wgpu::TextureFormat::Rgba8Unorm];
        let format = plain.into_iter().find(|format| offered.formats.contains(format));
        let format = format.ok_or_else(|| format!("no 8-bit format without sRGB among {:?}", offered.formats))?;
        let present_mode = choose(mode, &offered.present_modes);
        let alpha_mode = match offered.alpha_modes.contains(&wgpu::CompositeAlphaMode::Opaque) {
            true => wgpu::CompositeAlphaMode::Opaque,
            false => wgpu::CompositeAlphaMode::Auto,
        };
        // Without a GPU, pictures that fit are copied instead of drawn.
        let copied = wgpu::TextureUsages::COPY_DST;
        let copies = is_software(adapter) && offered.usages.contains(copied);
        let usage = wgpu::TextureUsages::RENDER_ATTACHMENT | if copies { copied } else { wgpu::TextureUsages::empty() };
        let config = wgpu::SurfaceConfiguration {
            usage,
            format,
            width: size.width,
            height: size.height,
            present_mode,
            // One picture in the works at a time: a kiosk wants the newest, and has nothing to overlap it with.
            desired_maximum_frame_latency: 1,
            alpha_mode,
            view_formats: Vec::new(),
        };
        surface.configure(device, &config);
        debug!(?format, ?present_mode, width = size.width, height = size.height, "window surface");
        Ok(Self { surface, config, _window: window })
    }

    /// The format of the window's images.
    pub fn format(&self) -> wgpu::TextureFormat {
        self.config.format
    }

    /// Whether pictures may be copied into the window's images, and should be: there is no GPU.
    pub fn takes_copies(&self) -> bool {
        self.config.usage.contains(wgpu::TextureUsages::COPY_DST)
    }

    /// The size of the window's images.
    pub fn size(&self) -> Extent {
        Extent::new(self.config.width, self.config.height)
    }

    /// Follows the window's size. Says whether it changed.
    pub fn resize(&mut self, device: &wgpu::Device, size: Extent) -> bool {
        if size == self.size() {
            return false;
        }
        (self.config.width, self.config.height) = (size.width, size.height);
        self.surface.configure(device, &self.config);
        true
    }

    /// Gives it up for good where its device was lost with an image in our hands, which can then be neither presented nor returned. To drop
    /// such a surface is a panic (wgpu-hal 29, `NativeSwapchain::release_resources`). So what the driver has of it stays until the program
    /// ends, and its window must not be given another one: Wayland forbids some objects of a swapchain twice on one window.
    pub fn abandon(self) {
        std::mem::forget(self.surface);
    }

    /// The next image to draw into. Waits for one at most as long as the driver does.
    pub fn acquire(&self, device: &wgpu::Device) -> Acquired {
        use wgpu::CurrentSurfaceTexture as Current;
        let current = match self.surface.get_current_texture() {
            Current::Outdated => {
                self.surface.configure(device, &self.config);
                self.surface.get_current_texture()
            }
            current => current,
        };
        match current {
            Current::Success(image) | Current::Suboptimal(image) => Acquired::Image(image),
            Current::Lost => Acquired::Lost,
            Current::Timeout | Current::Occluded | Current::Outdated => Acquired::Later,
            Current::Validation => {
                warn!("the window's image could not be had: invalid surface");
                Acquired::Lost
            }
        }
    }
}

/// The wanted mode, or the one next to it that the driver has. Fifo is always there.
fn choose(wanted: PresentMode, offered: &[wgpu::PresentMode]) -> wgpu::PresentMode {
    let order: &[wgpu::PresentMode] = match wanted {
        PresentMode::Auto | PresentMode::Mailbox => &[wgpu::PresentMode::Mailbox],
        PresentMode::Immediate => &[wgpu::PresentMode::Immediate, wgpu::PresentMode::Mailbox],
        PresentMode::Fifo => &[],
    };
    order.iter().copied().find(|mode| offered.contains(mode)).unwrap_or(wgpu::PresentMode::Fifo)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgpu::PresentMode as Mode;

    #[test]
    fn a_mode_that_is_missing_becomes_the_next_best() {
        assert_eq!(choose(PresentMode::Auto, &[Mode::Fifo, Mode::Mailbox]), Mode::Mailbox);
        assert_eq!(choose(PresentMode::Auto, &[Mode::Fifo, Mode::Immediate]), Mode::Fifo);
        assert_eq!(choose(PresentMode::Immediate, &[Mode::Fifo, Mode::Mailbox]), Mode::Mailbox);
        assert_eq!(choose(PresentMode::Fifo, &[Mode::Fifo, Mode::Mailbox]), Mode::Fifo);
    }
}
