// A graphics driver that fails on order: a Vulkan layer between the program under test and its real driver.
//
//   cc -O2 -shared -fPIC -o libdriver.so driver.c
//
// It is a layer as https://vulkan.lunarg.com/doc/view/latest/linux/LoaderLayerInterface.html describes them, of interface version 2. The test puts
// a manifest beside it, names both in VK_LAYER_PATH and VK_INSTANCE_LAYERS, and a file in PORTAL_TEST_DRIVER. An order written to that file is
// taken (and the file removed) by the first call that it concerns:
//
//   lost acquire | lost submit | lost present | lost wait
//           that call says VK_ERROR_DEVICE_LOST, and so does from then on whatever else may say it for this device; submit: while an
//           image of a window has been acquired and not presented yet
//   stuck window | stuck device | stuck process
//           no image can be had any more: from swapchains that there are now, from devices that there are now, or at all
//   hang open | hang swapchain
//           vkCreateDevice or vkCreateSwapchainKHR does not return
//
// Only what this needs of vulkan_core.h and vk_layer.h is written down here, by the specification, so that no headers are needed.

#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef int32_t Result;
enum { SUCCESS = 0, TIMEOUT = 2, INITIALIZATION_FAILED = -3, DEVICE_LOST = -4 };
enum { LOADER_INSTANCE_CREATE_INFO = 47, LOADER_DEVICE_CREATE_INFO = 48, LAYER_LINK_INFO = 0 };

typedef void (*Function)(void);
typedef Function (*GetProc)(void *, const char *);
// VkLayerInstanceLink and VkLayerDeviceLink: the second one has a function more.
typedef struct Link { struct Link *next; GetProc instance_proc; GetProc device_proc; } Link;
// VkLayerInstanceCreateInfo and VkLayerDeviceCreateInfo, as far as the chain goes.
typedef struct Chain { int32_t type; const struct Chain *next; int32_t function; Link *link; } Chain;
// VkNegotiateLayerInterface.
typedef struct { int32_t type; void *next; uint32_t version; GetProc instance_proc, device_proc, physical_proc; } Negotiation;

#define DEVICES 64
typedef struct {
	void *key; // The loader's table: a device's and its queues' first word.
	GetProc proc;
	int lost, stuck, drawing; // drawing: an image has been acquired and not presented.
	uint64_t stuck_up_to; // Swapchains that were made until then give no images.
} Device;
typedef struct { uint64_t swapchain, made; } Made;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static GetProc next_instance_proc;
static Device devices[DEVICES];
static Made made[256];
static uint64_t made_count;
static int process_stuck;

static void *key_of(void *handle) { return *(void **)handle; }

static Device *find(void *handle) {
	void *key = handle ? key_of(handle) : NULL;
	for (int i = 0; i < DEVICES; i++)
		if (devices[i].key == key) return &devices[i];
	fprintf(stderr, "driver.c: an unknown device\n");
	abort();
}

static Function next(void *handle, const char *name) {
	pthread_mutex_lock(&lock);
	Device *device = find(handle);
	GetProc proc = device->proc;
	pthread_mutex_unlock(&lock);
	return proc(handle, name);
}

// Whether this is what the file orders; then it is taken.
static int ordered(const char *order) {
	const char *path = getenv("PORTAL_TEST_DRIVER");
	if (!path) return 0;
	FILE *file = fopen(path, "r");
	if (!file) return 0;
	char text[64] = "";
	char *read = fgets(text, sizeof text, file);
	fclose(file);
	return read && !strcmp(text, order) && !unlink(path);
}

static void hang(void) { for (;;) pause(); }

static int is_lost(void *handle, const char *order) {
	pthread_mutex_lock(&lock);
	Device *device = find(handle);
	if (order && !device->lost && ordered(order)) device->lost = 1;
	int lost = device->lost;
	pthread_mutex_unlock(&lock);
	return lost;
}

// The functions below replace the driver's. Those of a queue cannot ask vkGetDeviceProcAddr with their handle, so all next ones are kept.
#define KEPT(X) X(QueueSubmit) X(QueueSubmit2) X(QueueSubmit2KHR) X(QueuePresentKHR) X(QueueWaitIdle) X(AcquireNextImageKHR) \
	X(WaitForFences) X(GetFenceStatus) X(WaitSemaphores) X(WaitSemaphoresKHR) X(GetSemaphoreCounterValue) \
	X(GetSemaphoreCounterValueKHR) X(DeviceWaitIdle) X(CreateSwapchainKHR) X(DestroyDevice)
#define POINTER(name) static Function next_##name;
// One driver serves all devices of a test, so its functions are the same for each.
KEPT(POINTER)

static int is_lost_in_submit(void *queue) {
	pthread_mutex_lock(&lock);
	int drawing = find(queue)->drawing;
	pthread_mutex_unlock(&lock);
	return is_lost(queue, drawing ? "lost submit" : NULL);
}
static void set_drawing(void *handle, int drawing) {
	pthread_mutex_lock(&lock);
	find(handle)->drawing = drawing;
	pthread_mutex_unlock(&lock);
}

static Result QueueSubmit(void *queue, uint32_t count, const void *infos, uint64_t fence) {
	if (is_lost_in_submit(queue)) return DEVICE_LOST;
	return ((Result(*)(void *, uint32_t, const void *, uint64_t))next_QueueSubmit)(queue, count, infos, fence);
}
static Result QueueSubmit2(void *queue, uint32_t count, const void *infos, uint64_t fence) {
	if (is_lost_in_submit(queue)) return DEVICE_LOST;
	return ((Result(*)(void *, uint32_t, const void *, uint64_t))next_QueueSubmit2)(queue, count, infos, fence);
}
static Result QueueSubmit2KHR(void *queue, uint32_t count, const void *infos, uint64_t fence) {
	if (is_lost_in_submit(queue)) return DEVICE_LOST;
	return ((Result(*)(void *, uint32_t, const void *, uint64_t))next_QueueSubmit2KHR)(queue, count, infos, fence);
}
static Result QueuePresentKHR(void *queue, const void *info) {
	if (is_lost(queue, "lost present")) return DEVICE_LOST;
	set_drawing(queue, 0);
	return ((Result(*)(void *, const void *))next_QueuePresentKHR)(queue, info);
}
static Result QueueWaitIdle(void *queue) {
	if (is_lost(queue, NULL)) return DEVICE_LOST;
	return ((Result(*)(void *))next_QueueWaitIdle)(queue);
}
static Result AcquireNextImageKHR(void *device, uint64_t swapchain, uint64_t ns, uint64_t semaphore, uint64_t fence, uint32_t *image) {
	if (is_lost(device, "lost acquire")) return DEVICE_LOST;
	pthread_mutex_lock(&lock);
	Device *known = find(device);
	if (ordered("stuck window")) known->stuck_up_to = made_count;
	if (ordered("stuck process")) process_stuck = 1;
	if (ordered("stuck device"))
		for (int i = 0; i < DEVICES; i++) devices[i].stuck |= devices[i].key != NULL;
	int stuck = process_stuck || known->stuck;
	for (uint64_t i = 0; i < sizeof made / sizeof *made; i++)
		stuck |= made[i].swapchain == swapchain && made[i].made && made[i].made <= known->stuck_up_to;
	pthread_mutex_unlock(&lock);
	if (stuck) {
		// A second at most, as the program waits for its images.
		uint64_t wait = ns < 1000000000 ? ns : 1000000000;
		struct timespec time = {wait / 1000000000, wait % 1000000000};
		nanosleep(&time, NULL);
		return TIMEOUT;
	}
	Result result = ((Result(*)(void *, uint64_t, uint64_t, uint64_t, uint64_t, uint32_t *))next_AcquireNextImageKHR)(
		device, swapchain, ns, semaphore, fence, image);
	if (result >= SUCCESS && result != TIMEOUT) set_drawing(device, 1);
	return result;
}
static Result WaitForFences(void *device, uint32_t count, const uint64_t *fences, uint32_t all, uint64_t ns) {
	if (is_lost(device, "lost wait")) return DEVICE_LOST;
	return ((Result(*)(void *, uint32_t, const uint64_t *, uint32_t, uint64_t))next_WaitForFences)(device, count, fences, all, ns);
}
static Result GetFenceStatus(void *device, uint64_t fence) {
	if (is_lost(device, NULL)) return DEVICE_LOST;
	return ((Result(*)(void *, uint64_t))next_GetFenceStatus)(device, fence);
}
static Result WaitSemaphores(void *device, const void *info, uint64_t ns) {
	if (is_lost(device, "lost wait")) return DEVICE_LOST;
	return ((Result(*)(void *, const void *, uint64_t))next_WaitSemaphores)(device, info, ns);
}
static Result WaitSemaphoresKHR(void *device, const void *info, uint64_t ns) {
	if (is_lost(device, "lost wait")) return DEVICE_LOST;
	return ((Result(*)(void *, const void *, uint64_t))next_WaitSemaphoresKHR)(device, info, ns);
}
static Result GetSemaphoreCounterValue(void *device, uint64_t semaphore, uint64_t *value) {
	if (is_lost(device, NULL)) return DEVICE_LOST;
	return ((Result(*)(void *, uint64_t, uint64_t *))next_GetSemaphoreCounterValue)(device, semaphore, value);
}
static Result GetSemaphoreCounterValueKHR(void *device, uint64_t semaphore, uint64_t *value) {
	if (is_lost(device, NULL)) return DEVICE_LOST;
	return ((Result(*)(void *, uint64_t, uint64_t *))next_GetSemaphoreCounterValueKHR)(device, semaphore, value);
}
static Result DeviceWaitIdle(void *device) {
	if (is_lost(device, NULL)) return DEVICE_LOST;
	return ((Result(*)(void *))next_DeviceWaitIdle)(device);
}
static Result CreateSwapchainKHR(void *device, const void *info, const void *allocator, uint64_t *swapchain) {
	if (ordered("hang swapchain")) hang();
	if (is_lost(device, NULL)) return DEVICE_LOST;
	Result result = ((Result(*)(void *, const void *, const void *, uint64_t *))next_CreateSwapchainKHR)(device, info, allocator, swapchain);
	pthread_mutex_lock(&lock);
	if (result == SUCCESS) {
		// The newest ones: a handle may be used again.
		for (uint64_t i = 0; i < sizeof made / sizeof *made; i++)
			if (made[i].swapchain == *swapchain) made[i].made = 0;
		made[made_count % (sizeof made / sizeof *made)] = (Made){*swapchain, made_count + 1};
		made_count++;
	}
	pthread_mutex_unlock(&lock);
	return result;
}
static void DestroyDevice(void *device, const void *allocator) {
	pthread_mutex_lock(&lock);
	find(device)->key = NULL;
	pthread_mutex_unlock(&lock);
	((void (*)(void *, const void *))next_DestroyDevice)(device, allocator);
}

static Link *link_of(const void *info, int32_t type) {
	// Of a create info, only its first two members are looked at.
	const Chain *chain = ((const Chain *)info)->next;
	while (chain && !(chain->type == type && chain->function == LAYER_LINK_INFO)) chain = chain->next;
	if (!chain) return NULL;
	Link *link = chain->link;
	((Chain *)chain)->link = link->next;
	return link;
}

static Result CreateInstance(const void *info, const void *allocator, void **instance) {
	Link *link = link_of(info, LOADER_INSTANCE_CREATE_INFO);
	if (!link) return INITIALIZATION_FAILED;
	next_instance_proc = link->instance_proc;
	Function create = next_instance_proc(NULL, "vkCreateInstance");
	return ((Result(*)(const void *, const void *, void **))create)(info, allocator, instance);
}

static void *instance_of_devices;

static Result CreateDevice(void *physical, const void *info, const void *allocator, void **device) {
	if (ordered("hang open")) hang();
	Link *link = link_of(info, LOADER_DEVICE_CREATE_INFO);
	if (!link) return INITIALIZATION_FAILED;
	GetProc proc = link->device_proc;
	Function create = link->instance_proc(instance_of_devices, "vkCreateDevice");
	Result result = ((Result(*)(void *, const void *, const void *, void **))create)(physical, info, allocator, device);
	if (result != SUCCESS) return result;
	pthread_mutex_lock(&lock);
	Device *free_one = NULL;
	for (int i = 0; i < DEVICES && !free_one; i++)
		if (!devices[i].key) free_one = &devices[i];
	if (!free_one) abort();
	*free_one = (Device){.key = key_of(*device), .proc = proc};
	pthread_mutex_unlock(&lock);
#define ASK(name) next_##name = proc(*device, "vk" #name);
	KEPT(ASK)
	return SUCCESS;
}

static Function ours(const char *name) {
#define OURS(function) if (!strcmp(name, "vk" #function)) return (Function)function;
	KEPT(OURS)
	return NULL;
}

static Function device_proc(void *device, const char *name) {
	if (!strcmp(name, "vkGetDeviceProcAddr")) return (Function)device_proc;
	Function theirs = next(device, name), own = ours(name);
	return theirs && own ? own : theirs;
}

static Function instance_proc(void *instance, const char *name) {
	if (!strcmp(name, "vkGetInstanceProcAddr")) return (Function)instance_proc;
	if (!strcmp(name, "vkGetDeviceProcAddr")) return (Function)device_proc;
	if (!strcmp(name, "vkCreateInstance")) return (Function)CreateInstance;
	if (!strcmp(name, "vkCreateDevice")) {
		instance_of_devices = instance;
		return (Function)CreateDevice;
	}
	if (!next_instance_proc) return NULL;
	Function theirs = next_instance_proc(instance, name), own = ours(name);
	return theirs && own ? own : theirs;
}

__attribute__((visibility("default"))) Result vkNegotiateLoaderLayerInterfaceVersion(Negotiation *negotiation) {
	if (negotiation->version < 2) return INITIALIZATION_FAILED;
	negotiation->version = 2;
	negotiation->instance_proc = instance_proc;
	negotiation->device_proc = device_proc;
	negotiation->physical_proc = NULL;
	return SUCCESS;
}
