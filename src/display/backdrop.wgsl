// The calm background of a slate: two colours from top to bottom, and a slow light that shows that somebody is at home.

struct Params {
    top: vec4<f32>,
    bottom: vec4<f32>,
    // The light's colour, and how strong it is at its centre.
    light: vec4<f32>,
    // The light's centre on the window from 0 to 1, one divided by its radius, the window's width divided by its height.
    centre: vec4<f32>,
    // The direction of "down" on the window: turned with the canvas. And the brightness from 0 to 1.
    down: vec4<f32>,
}

@group(0) @binding(0) var<uniform> params: Params;

struct Vertex {
    @builtin(position) position: vec4<f32>,
    @location(0) @interpolate(linear) st: vec2<f32>,
}

@vertex
fn vertex(@builtin(vertex_index) index: u32) -> Vertex {
    let st = vec2(f32((index << 1u) & 2u), f32(index & 2u));
    var out: Vertex;
    out.position = vec4(st.x * 2.0 - 1.0, 1.0 - st.y * 2.0, 0.0, 1.0);
    out.st = st;
    return out;
}

@fragment
fn fragment(in: Vertex) -> @location(0) vec4<f32> {
    let along = dot(params.down.xyz, vec3(in.st, 1.0));
    let from_centre = (in.st - params.centre.xy) * vec2(params.centre.w, 1.0) * params.centre.z;
    let near = clamp(1.0 - dot(from_centre, from_centre), 0.0, 1.0);
    let calm = mix(params.top.rgb, params.bottom.rgb, along) + params.light.rgb * (params.light.a * near * near);
    // A dark gradient shows bands in 8 bits; noise of one step hides them (interleaved gradient noise, Jimenez 2014).
    let noise = fract(52.9829189 * fract(dot(floor(in.position.xy), vec2(0.06711056, 0.00583715))));
    return vec4(calm * params.down.w + vec3((noise - 0.5) / 255.0), 1.0);
}
