// One picture in YCbCr, drawn once, straight into the window's image.
//
// The window's image is written through a view without sRGB conversion: code values go in as they are, and the sRGB transfer
// function, which the picture already carries, is neither undone nor applied.

struct Params {
    // Luma sample = (dot(x.xyz, (s, t, 1)), dot(y.xyz, (s, t, 1))), s and t from 0 to 1 over the area.
    x: vec4<f32>,
    y: vec4<f32>,
    // Of chroma: Cr in red, Cb and Cr in green, Cb in blue.
    weights: vec4<f32>,
    // Scale and offset of luma.
    luma: vec4<f32>,
    // Luma width and height in samples, and one divided by each.
    size: vec4<f32>,
    // Width and height of the area in pixels, radius of its corners in pixels, brightness from 0 to 1.
    area: vec4<f32>,
}

@group(0) @binding(0) var luma: texture_2d<f32>;
@group(0) @binding(1) var chroma: texture_2d<f32>;
@group(0) @binding(2) var bilinear: sampler;
@group(0) @binding(3) var<uniform> params: Params;

// 0: one sample is one pixel. 1: bilinear. 2: four bilinear taps.
override SAMPLING: u32 = 1u;
// Rounded corners, blended.
override ROUNDED: bool = false;

struct Vertex {
    @builtin(position) position: vec4<f32>,
    // Linear: nothing here has depth, and a software rasteriser would divide by it for each pixel.
    @location(0) @interpolate(linear) sample: vec2<f32>,
    @location(1) @interpolate(linear) pixel: vec2<f32>,
}

@vertex
fn vertex(@builtin(vertex_index) index: u32) -> Vertex {
    // One triangle that covers the viewport; s and t reach 2 outside of it.
    let st = vec3(f32((index << 1u) & 2u), f32(index & 2u), 1.0);
    var out: Vertex;
    out.position = vec4(st.x * 2.0 - 1.0, 1.0 - st.y * 2.0, 0.0, 1.0);
    out.sample = vec2(dot(params.x.xyz, st), dot(params.y.xyz, st));
    out.pixel = st.xy * params.area.xy;
    return out;
}

fn smooth_luma(sample: vec2<f32>) -> f32 {
    return textureSampleLevel(luma, bilinear, sample * params.size.zw, 0.0).r;
}

fn smooth_chroma(sample: vec2<f32>) -> vec2<f32> {
    // Chroma samples sit on the left one of their two luma samples (H.273 chroma location 0): half a luma sample to the right.
    return textureSampleLevel(chroma, bilinear, (sample + vec2(0.5, 0.0)) * params.size.zw, 0.0).rg;
}

fn exact_at(sample: vec2<f32>) -> vec3<f32> {
    let at = vec2<i32>(sample);
    return vec3(textureLoad(luma, at, 0).r, textureLoad(chroma, at >> vec2(1u), 0).rg);
}

fn shrunk_at(sample: vec2<f32>) -> vec3<f32> {
    // A quarter of what one pixel covers, along the window's two axes.
    let right = 0.25 * vec2(params.x.x, params.y.x) / params.area.x;
    let down = 0.25 * vec2(params.x.y, params.y.y) / params.area.y;
    let y = smooth_luma(sample - right - down) + smooth_luma(sample + right - down)
        + smooth_luma(sample - right + down) + smooth_luma(sample + right + down);
    // Chroma has half the samples, and nobody sees it shimmer: one tap.
    return vec3(0.25 * y, smooth_chroma(sample));
}

@fragment
fn fragment(in: Vertex) -> @location(0) vec4<f32> {
    var code: vec3<f32>;
    if SAMPLING == 0u {
        code = exact_at(in.sample);
    } else if SAMPLING == 1u {
        code = vec3(smooth_luma(in.sample), smooth_chroma(in.sample));
    } else {
        code = shrunk_at(in.sample);
    }
    let base = code.x * params.luma.x + params.luma.y;
    let cb = code.y - 128.0 / 255.0;
    let cr = code.z - 128.0 / 255.0;
    let rgb = vec3(
        base + params.weights.x * cr,
        base + params.weights.y * cb + params.weights.z * cr,
        base + params.weights.w * cb,
    );
    if !ROUNDED {
        // What is out of range is clamped as it is stored.
        return vec4(rgb * params.area.w, 1.0);
    }
    // Distance from the rounded rectangle's edge, in pixels; negative inside. A light line of 2 pixels lies on it.
    let corner = abs(in.pixel - 0.5 * params.area.xy) - (0.5 * params.area.xy - params.area.z);
    let distance = length(max(corner, vec2(0.0))) + min(max(corner.x, corner.y), 0.0) - params.area.z;
    let alpha = clamp(0.5 - distance, 0.0, 1.0);
    let line = 0.65 * clamp(distance + 2.5, 0.0, 1.0);
    return vec4(mix(saturate(rgb), vec3(0.92, 0.95, 0.97), line) * (params.area.w * alpha), alpha);
}
