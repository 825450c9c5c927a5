//! The graphics device: opened by us, before Bevy would panic over a missing driver.

use super::Error;
use bevy::render::renderer::{
    RenderAdapter, RenderAdapterInfo, RenderDevice, RenderInstance, RenderQueue, WgpuWrapper,
};
use bevy::render::settings::RenderCreation;
use bevy::tasks::block_on;
use std::sync::Arc;

/// An open Vulkan device. Only Vulkan: with Bevy 0.19 the OpenGL backend cannot choose a present mode.
#[derive(Debug)]
pub struct Gpu {
    /// The loader.
    pub instance: wgpu::Instance,
    /// The device as the driver describes it.
    pub adapter: wgpu::Adapter,
    /// What resources are made with.
    pub device: wgpu::Device,
    /// What work is handed to.
    pub queue: wgpu::Queue,
}

impl Gpu {
    /// Opens the fastest device that there is. Takes some tens of milliseconds.
    pub fn open() -> Result<Self, Error> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends: wgpu::Backends::VULKAN,
            // Nothing but what WGPU_VALIDATION and its kin ask for: the validation layers are not installed on kiosks.
            flags: wgpu::InstanceFlags::empty().with_env(),
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        let wanted = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            ..Default::default()
        };
        let adapter = block_on(instance.request_adapter(&wanted))
            .map_err(|error| Error::NoVulkan { cause: one_line(&error.to_string()) })?;
        let name = adapter.get_info().name;
        // Bevy's UI and our passes need no more than WebGPU's own limits; with no optional feature Bevy also prepares less.
        let limits = wgpu::Limits::default().or_worse_values_from(&adapter.limits());
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("portal"),
            required_limits: limits,
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let (device, queue) = block_on(adapter.request_device(&descriptor))
            .map_err(|error| Error::Device { device: name, cause: one_line(&error.to_string()) })?;
        Ok(Self { instance, adapter, device, queue })
    }

    /// Hands the device to Bevy, which then makes none of its own.
    pub fn for_bevy(self) -> RenderCreation {
        let info = self.adapter.get_info();
        RenderCreation::manual(
            RenderDevice::from(self.device),
            RenderQueue(Arc::new(WgpuWrapper::new(self.queue))),
            RenderAdapterInfo(WgpuWrapper::new(info)),
            RenderAdapter(Arc::new(WgpuWrapper::new(self.adapter))),
            RenderInstance(Arc::new(WgpuWrapper::new(self.instance))),
        )
    }
}

/// Whether pixels are computed by the processor, where every texture read that is saved counts.
pub fn is_software(adapter: &wgpu::Adapter) -> bool {
    adapter.get_info().device_type == wgpu::DeviceType::Cpu
}

/// Driver messages run over several lines; ours are one.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
