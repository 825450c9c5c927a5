//! The pictures of one stream on the device: converted or uploaded as they come, drawn when they are seen.

use super::direct::Pixels;
use super::fit::Area;
use super::painter::Painter;
use super::planes::Planes;
use super::reduce::Reducer;
use crate::media::Frame;
use std::sync::Arc;
use std::time::Instant;

/// Pictures of one stream, on the device.
#[derive(Debug, Default)]
pub struct Stream {
    reducer: Reducer,
    /// One of the two, or none before the first picture.
    pub planes: Option<Planes>,
    pub pixels: Option<Pixels>,
    /// When the newest one came.
    pub arrived: Option<Instant>,
}

/// Where a stream's pictures are shown.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// On the canvas.
    pub area: Area,
    /// How.
    pub fit: super::Fit,
    /// The format of the window's images, where pictures that fit are copied into them.
    pub direct: Option<wgpu::TextureFormat>,
    /// How much of their light they have, 0 to 1, where they are copied; where they are drawn, that is the shader's business.
    pub brightness: f32,
}

impl Stream {
    /// Copies a picture to the device. One of another size gets new textures at once: what is on the screen stays there until they are
    /// drawn, and the old ones live until the device is done with them.
    pub fn put(
        &mut self,
        painter: &Painter,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        frame: Arc<Frame>,
        room: Room,
    ) {
        // Devices differ in how large a texture they can make; most pictures that we accept fit everywhere.
        let most = device.limits().max_texture_dimension_2d;
        let size = frame.format.size;
        if !size.is_valid() || size.width > most || size.height > most {
            tracing::debug!(%size, "a picture of this size cannot be shown");
            return;
        }
        let frame = if painter.is_software() { self.reducer.reduce(frame, room.area, room.fit) } else { frame };
        self.arrived = Some(Instant::now());
        if let Some(format) = room.direct
            && (frame.format.size.width, frame.format.size.height) == (room.area.width, room.area.height)
            && self.pixels.get_or_insert_default().convert(&frame, format)
        {
            if let Some(pixels) = self.pixels.as_mut().filter(|_| room.brightness < 1.0) {
                pixels.dim(room.brightness);
            }
            self.planes = None;
            return;
        }
        self.pixels = None;
        let planes = match self.planes.take() {
            Some(planes) if planes.take(frame.format) => self.planes.insert(planes),
            _ => self.planes.insert(painter.planes(device, frame.format)),
        };
        planes.upload(queue, &frame);
    }
}
