//! A camera, through nokhwa. Survives what nokhwa and the crate beneath it do not.

use super::cameras::{self, CameraInfo};
use super::choose::{CameraFormat, Coding, choose};
use super::watchdog::Watchdog;
use super::{Config, Error, Source};
use crate::media::convert::{self, Raw};
use crate::media::jpeg::Jpeg;
use crate::media::scale::{Fit, Scaler};
use crate::media::{Colour, Format, Frame, Layout, Matrix, Pool, Range};
use nokhwa::utils::{CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType, Resolution};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use v4l::v4l_sys as sys;
use v4l::v4l2;
use v4l::video::Capture;

/// Exposure control and waking from standby take their time before the first picture.
const FIRST_PICTURE: Duration = Duration::from_secs(4);
/// Several times the longest interval of a usual camera in poor light.
const NEXT_PICTURE: Duration = Duration::from_millis(1500);

/// An open camera.
pub(super) struct Camera {
    /// Only `None` while dropped.
    device: Option<nokhwa::Camera>,
    title: String,
    name: String,
    format: CameraFormat,
    stride: usize,
    colour: Colour,
    fit: Fit,
    scaler: Option<Scaler>,
    jpeg: Option<Jpeg>,
    /// 4:2:2 chroma while YUYV is converted.
    chroma: Vec<u8>,
    /// The whole picture, where it needs scaling.
    whole: Vec<u8>,
    number: u64,
    watchdog: Arc<Watchdog>,
}

impl Camera {
    /// Opens a camera in the best of its formats, and starts it.
    pub(super) fn open(info: &CameraInfo, config: &Config, watchdog: Arc<Watchdog>) -> Result<Self, Error> {
        if !info.permitted {
            return Err(cameras::no_permission(info));
        }
        if info.problem.is_some() {
            return Err(cameras::busy(info));
        }
        let wanted = config.size();
        let format = choose(&info.formats, wanted, config.fps).ok_or(Error::NoFormat { camera: info.title() })?;
        let agreed = prepare(info.number, format).map_err(|error| opening(info, &error.to_string()))?;
        let device = start(info, format)?;
        let fit = Fit::new(format.size(), wanted);
        let jpeg = if format.coding == Coding::Mjpeg { Some(jpeg(info)?) } else { None };
        let camera = Self {
            device: Some(device),
            title: info.title(),
            name: info.name(),
            format,
            stride: agreed.stride,
            colour: agreed.colour,
            fit,
            scaler: (!fit.is_identity()).then(|| Scaler::new(fit)),
            jpeg,
            chroma: Vec::new(),
            whole: Vec::new(),
            number: 0,
            watchdog,
        };
        tracing::debug!(camera = camera.name, %format, colour = ?agreed.colour, stride = agreed.stride, "camera opened");
        Ok(camera)
    }

    /// Whether a camera that is listed could be opened now, without starting it: it may be in use, or half gone.
    pub(super) fn is_free(info: &CameraInfo, config: &Config) -> bool {
        let format = choose(&info.formats, config.size(), config.fps);
        info.problem.is_none() && format.is_some_and(|format| prepare(info.number, format).is_ok())
    }

    /// The stable name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

fn jpeg(info: &CameraInfo) -> Result<Jpeg, Error> {
    Jpeg::new().map_err(|error| Error::Open { camera: info.title(), cause: error.to_string() })
}

impl Source for Camera {
    fn next_frame(&mut self, pool: &mut Pool) -> Result<Arc<Frame>, Error> {
        let Some(device) = &mut self.device else { return Err(Error::Interrupted) };
        let limit = if self.number == 0 { FIRST_PICTURE } else { NEXT_PICTURE };
        let asked = Instant::now();
        let (buffer, barked) = self.watchdog.guard(limit, || device.frame_raw());
        // As near to the driver's hand-over as nokhwa lets us.
        let captured = Instant::now();
        let buffer = match buffer {
            Ok(buffer) => buffer,
            Err(_) if barked && asked.elapsed() < limit => return Err(Error::Interrupted),
            Err(_) if barked => return Err(Error::Stalled { camera: self.title.clone(), after: limit }),
            Err(error) => return Err(reading(&self.title, &self.name, &error.to_string())),
        };
        let raw = Raw { data: &buffer, size: self.format.size(), stride: self.stride };
        let (scaler, whole, jpeg, chroma) = (&mut self.scaler, &mut self.whole, &mut self.jpeg, &mut self.chroma);
        let coding = self.format.coding;
        let convert = |out: &mut [u8]| match (coding, jpeg) {
            (Coding::Yuyv, _) => convert::yuyv(raw, chroma, out),
            (Coding::Nv12, _) => convert::nv12(raw, out),
            (Coding::Mjpeg, Some(jpeg)) => jpeg.decode(raw.data, raw.size, out),
            (Coding::Mjpeg, None) => Err(convert::Error::Damaged("no JPEG decoder".into())),
        };
        let number = self.number + 1;
        let format = Format { size: self.fit.to, layout: Layout::I420, colour: self.colour };
        let from = self.fit.from;
        let (frame, ()) = pool.fill(format, |frame| {
            let damaged = |error: convert::Error| Error::Damaged(error.to_string());
            match scaler {
                None => convert(frame.data_mut()).map_err(damaged)?,
                Some(scaler) => {
                    whole.resize(from.pixels() * 3 / 2, 0);
                    convert(whole).map_err(damaged)?;
                    scaler.scale(whole, frame.data_mut()).map_err(|error| Error::Damaged(error.to_string()))?;
                }
            }
            (frame.number, frame.captured) = (number, Some(captured));
            Ok::<(), Error>(())
        })?;
        self.number = number;
        Ok(frame)
    }

    fn describe(&self) -> String {
        let scaled = if self.fit.is_identity() { String::new() } else { format!(", scaled to {}", self.fit.to) };
        format!("{}, {}{scaled}", self.name, self.format)
    }

    fn period(&self) -> Option<Duration> {
        Some(Duration::from_secs(1) / self.format.fps)
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        // v4l panics if the driver refuses to stop, which a camera that is half gone may well do.
        let device = self.device.take();
        if catch_unwind(AssertUnwindSafe(|| drop(device))).is_err() {
            tracing::warn!(camera = self.name, "the driver could not stop the camera");
        }
    }
}

/// What the driver agreed to.
struct Agreed {
    /// Bytes from one row to the next; 0 for JPEG.
    stride: usize,
    colour: Colour,
}

/// Puts the device into the format, whatever state it is in: nokhwa reads the present state first and gives up if it
/// does not know it (a rate of 12.5 per second, planar formats).
fn prepare(number: u32, format: CameraFormat) -> io::Result<Agreed> {
    let device = v4l::Device::new(number as usize)?;
    let agreed = set_format(&device, format)?;
    device.set_params(&v4l::video::capture::Parameters::with_fps(format.fps))?;
    // Closed on return: some drivers let only one open file at a time set formats, and nokhwa's is the next.
    Ok(agreed)
}

/// Asked directly: v4l's own `set_format` leaves out the matrix and panics on values that it does not know.
fn set_format(device: &v4l::Device, format: CameraFormat) -> io::Result<Agreed> {
    // SAFETY: v4l2_format is plain data, all zeroes is a valid value of it.
    let mut request: sys::v4l2_format = unsafe { std::mem::zeroed() };
    request.type_ = v4l::buffer::Type::VideoCapture as u32;
    let fourcc = u32::from_le_bytes(format.coding.fourcc());
    // SAFETY: pix_format is plain data, all zeroes is a valid value of it.
    let mut pixels: sys::v4l2_pix_format = unsafe { std::mem::zeroed() };
    (pixels.width, pixels.height, pixels.pixelformat) = (format.width, format.height, fourcc);
    request.fmt.pix = pixels;
    let pointer = (&raw mut request).cast();
    // SAFETY: VIDIOC_S_FMT reads and writes one v4l2_format, and the pointer is to one of our own.
    unsafe { v4l2::ioctl(device.handle().fd(), v4l2::vidioc::VIDIOC_S_FMT, pointer) }?;
    // SAFETY: for this buffer type the driver fills in `pix`, and any bits are a valid value of it.
    let got = unsafe { request.fmt.pix };
    if (got.width, got.height, got.pixelformat) != (format.width, format.height, fourcc) {
        return Err(io::Error::other(format!("it lists {format} but gives {}x{}", got.width, got.height)));
    }
    let shortest = match format.coding {
        Coding::Yuyv => 2 * got.width,
        Coding::Nv12 => got.width,
        Coding::Mjpeg => 0,
    };
    // SAFETY: both members of the union are the same plain number.
    let matrix = unsafe { got.__bindgen_anon_1.ycbcr_enc };
    let colour = if format.coding == Coding::Mjpeg {
        Colour::BT601_FULL
    } else {
        colour(got.colorspace, matrix, got.quantization)
    };
    Ok(Agreed { stride: got.bytesperline.max(shortest) as usize, colour })
}

/// What V4L2's numbers mean, with its rules for "default" (`V4L2_MAP_YCBCR_ENC_DEFAULT`, `V4L2_MAP_QUANTIZATION_DEFAULT` in
/// linux/videodev2.h).
fn colour(space: u32, matrix: u32, range: u32) -> Colour {
    const REC709: u32 = 3;
    const JPEG: u32 = 7;
    const DCI_P3: u32 = 12;
    let matrix = match (matrix, space) {
        // BT.709 and xvYCC 709; BT.2020 is nearest to it.
        (2 | 4 | 6 | 7, _) | (0, REC709 | DCI_P3 | 10) => Matrix::Bt709,
        _ => Matrix::Bt601,
    };
    let range = match (range, space) {
        (1, _) | (0, JPEG) => Range::Full,
        _ => Range::Limited,
    };
    Colour { matrix, range }
}

/// Opens the prepared device with nokhwa and starts it.
fn start(info: &CameraInfo, format: CameraFormat) -> Result<nokhwa::Camera, Error> {
    let coding = match format.coding {
        Coding::Nv12 => FrameFormat::NV12,
        Coding::Yuyv => FrameFormat::YUYV,
        Coding::Mjpeg => FrameFormat::MJPEG,
    };
    let exact = nokhwa::utils::CameraFormat::new(Resolution::new(format.width, format.height), coding, format.fps);
    let wanted = [coding];
    let request = RequestedFormat::with_formats(RequestedFormatType::Exact(exact), &wanted);
    let open = || {
        let mut camera = nokhwa::Camera::new(CameraIndex::Index(info.number), request)?;
        camera.open_stream()?;
        Ok(camera)
    };
    // It panics on names that are no UTF-8 and on step sizes of 0.
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(Ok(camera)) => {
            close_on_exec();
            Ok(camera)
        }
        Ok(Err::<_, nokhwa::NokhwaError>(error)) => Err(opening(info, &error.to_string())),
        Err(_) => {
            let cause = "its driver describes it in a way that nokhwa cannot read".into();
            Err(Error::Open { camera: info.title(), cause })
        }
    }
}

/// v4l opens devices without `O_CLOEXEC`: a program that begins again by execve(2) would find its camera in use by itself, and the
/// camera's light would stay on.
fn close_on_exec() {
    for descriptor in crate::ops::open_devices().into_iter().map(|(descriptor, _)| descriptor) {
        // SAFETY: changes a flag of a descriptor that was open a moment ago. If another thread has closed it, that fails; if it was opened
        // anew, by Rust's own library, it has the flag already.
        let set = unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
        if set != 0 {
            tracing::debug!("the camera stays open over a restart: {}", io::Error::last_os_error());
        }
    }
}

/// nokhwa passes the system's errors on as text only, with the number at the end.
fn is_error(text: &str, number: i32) -> bool {
    text.contains(&format!("(os error {number})"))
}

fn opening(info: &CameraInfo, cause: &str) -> Error {
    let camera = info.title();
    if is_error(cause, libc::EBUSY) {
        cameras::busy(info)
    } else if is_error(cause, libc::EACCES) || is_error(cause, libc::EPERM) {
        cameras::no_permission(info)
    } else if [libc::ENOENT, libc::ENODEV, libc::ENXIO].iter().any(|&number| is_error(cause, number)) {
        Error::Unplugged { camera }
    } else {
        Error::Open { camera, cause: cause.to_owned() }
    }
}

fn reading(title: &str, name: &str, cause: &str) -> Error {
    if is_error(cause, libc::ENODEV) {
        // Its device node says nothing any more. The same words as while it is searched for: one state, not two.
        return Error::Unplugged { camera: format!("camera \"{name}\"") };
    }
    Error::Read { camera: title.to_owned(), cause: cause.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_follow_the_rules_of_v4l2() {
        let bt709_full = Colour { matrix: Matrix::Bt709, range: Range::Full };
        // (colour space, matrix, range)
        let table = [
            ((0, 0, 0), Colour::BT601_LIMITED),
            ((8, 0, 0), Colour::BT601_LIMITED), // sRGB: what UVC cameras say
            ((3, 0, 0), Colour::BT709_LIMITED),
            ((7, 0, 0), Colour::BT601_FULL),
            ((3, 1, 2), Colour::BT601_LIMITED),
            ((8, 2, 1), bt709_full),
            ((3, 0, 1), bt709_full),
            ((u32::MAX, u32::MAX, u32::MAX), Colour::BT601_LIMITED),
        ];
        for ((space, matrix, range), expected) in table {
            assert_eq!(colour(space, matrix, range), expected, "{space} {matrix} {range}");
        }
    }

    #[test]
    fn the_systems_errors_are_found_in_texts() {
        let text = "Could not set device property X with value Y: Device or resource busy (os error 16)";
        assert!(is_error(text, libc::EBUSY) && !is_error(text, libc::EPERM));
        assert!(matches!(reading("x", "y", "No such device (os error 19)"), Error::Unplugged { .. }));
        assert!(matches!(reading("x", "y", "Input/output error (os error 5)"), Error::Read { .. }));
    }
}
