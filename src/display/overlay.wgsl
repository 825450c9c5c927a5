// Words and figures, painted by Bevy's UI into a canvas of their own when they change, laid over the picture.

struct Params {
    // Canvas coordinate from 0 to 1 = (dot(x.xyz, (s, t, 1)), dot(y.xyz, (s, t, 1))). x.w: the brightness from 0 to 1.
    x: vec4<f32>,
    y: vec4<f32>,
}

@group(0) @binding(0) var canvas: texture_2d<f32>;
@group(0) @binding(1) var nearest: sampler;
@group(0) @binding(2) var<uniform> params: Params;

struct Vertex {
    @builtin(position) position: vec4<f32>,
    @location(0) @interpolate(linear) at: vec2<f32>,
}

@vertex
fn vertex(@builtin(vertex_index) index: u32) -> Vertex {
    let st = vec3(f32((index << 1u) & 2u), f32(index & 2u), 1.0);
    var out: Vertex;
    out.position = vec4(st.x * 2.0 - 1.0, 1.0 - st.y * 2.0, 0.0, 1.0);
    out.at = vec2(dot(params.x.xyz, st), dot(params.y.xyz, st));
    return out;
}

@fragment
fn fragment(in: Vertex) -> @location(0) vec4<f32> {
    // The UI blends in linear light over nothing and stores sRGB(colour * alpha). We blend code values, which needs
    // sRGB(colour) * alpha. With sRGB close to the power 1 / 2.2 that is the stored value times alpha to the power 0.55.
    let stored = textureSampleLevel(canvas, nearest, in.at, 0.0);
    return vec4(stored.rgb * (sqrt(stored.a) * params.x.w), stored.a);
}
