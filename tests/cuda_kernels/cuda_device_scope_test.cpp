// What the plugin leaves of CUDA to a host that uses it too.
#include <cuda.h>
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "cuda/devices.h"
#include "support/environment_variable.h"

namespace puna::cuda {
namespace {

class CudaDeviceScope : public testing::Test {
  protected:
    // Each test with a thread of its own, which has no context at first.
    template <class Body>
    static void on_new_thread(const Body& body) {
        std::thread(body).join();
    }
    static CUcontext current() {
        CUcontext context = nullptr;
        EXPECT_EQ(cuCtxGetCurrent(&context), CUDA_SUCCESS);
        return context;
    }
    static int current_device() {
        int device = -1;
        EXPECT_EQ(cudaGetDevice(&device), cudaSuccess);
        return device;
    }
    static void allocate_within(Device& device) {
        const DeviceScope scope(device);
        ASSERT_TRUE(scope.status().ok()) << scope.status().text();
        EXPECT_EQ(current_device(), device.ordinal());
        void* memory = nullptr;
        ASSERT_EQ(cudaMalloc(&memory, 64), cudaSuccess);
        EXPECT_EQ(cudaFree(memory), cudaSuccess);
    }

    test::Setting gpus_{"PUNA_EMULATED_GPUS", 3};
    static constexpr ContextCalls kCalls = {cuCtxGetCurrent, cuCtxSetCurrent};
    Device device_{kCalls, 1, "GPU", 90, 1, 1 << 20};
};

TEST_F(CudaDeviceScope, AThreadWithoutAContextHasNoneAfterwards) {
    on_new_thread([this] {
        allocate_within(device_);
        EXPECT_EQ(current(), nullptr);
        allocate_within(device_);
    });
}

// A context takes hundreds of MB: the first GPU, where threads begin, is not to get one.
TEST_F(CudaDeviceScope, OtherGpusGetNoContext) {
    const bool had_context = cuda_emulator::has_context(0);  // where tests share a process
    on_new_thread([this] { allocate_within(device_); });
    EXPECT_TRUE(cuda_emulator::has_context(1));
    EXPECT_EQ(cuda_emulator::has_context(0), had_context);
}

TEST_F(CudaDeviceScope, AContextOfTheHostComesBack) {
    on_new_thread([this] {
        CUcontext host = cuda_emulator::context_of_host();
        ASSERT_EQ(cuCtxSetCurrent(host), CUDA_SUCCESS);
        allocate_within(device_);
        EXPECT_EQ(current(), host);
    });
}

// On the same GPU too, where the device stays the same and the context does not.
TEST_F(CudaDeviceScope, AContextOfTheHostIsNotUsed) {
    on_new_thread([this] {
        ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
        const CUcontext primary = current();
        ASSERT_EQ(cuCtxSetCurrent(cuda_emulator::context_of_host()), CUDA_SUCCESS);
        {
            const DeviceScope scope(device_);
            EXPECT_EQ(current(), primary);
        }
        EXPECT_EQ(current(), cuda_emulator::context_of_host());
    });
}

TEST_F(CudaDeviceScope, ScopesNest) {
    Device other(kCalls, 2, "GPU", 90, 1, 1 << 20);
    on_new_thread([&] {
        const DeviceScope outer(device_);
        allocate_within(other);
        EXPECT_EQ(current_device(), 1);
    });
}

TEST_F(CudaDeviceScope, AFailureLeavesTheContext) {
    Device missing(kCalls, 7, "GPU", 90, 1, 1 << 20);
    on_new_thread([&] {
        ASSERT_EQ(cuCtxSetCurrent(cuda_emulator::context_of_host()), CUDA_SUCCESS);
        {
            const DeviceScope scope(missing);
            EXPECT_EQ(scope.status().code(), PUNA_ERROR_BACKEND);
        }
        EXPECT_EQ(current(), cuda_emulator::context_of_host());
    });
}

// What cannot be put back is not changed.
TEST_F(CudaDeviceScope, AnUnknownContextIsLeft) {
    const ContextCalls calls = {[](CUcontext*) { return CUDA_ERROR_INVALID_CONTEXT; },
                                cuCtxSetCurrent};
    Device lost(calls, 1, "GPU", 90, 1, 1 << 20);
    on_new_thread([&] {
        ASSERT_EQ(cuCtxSetCurrent(cuda_emulator::context_of_host()), CUDA_SUCCESS);
        {
            const DeviceScope scope(lost);
            EXPECT_EQ(scope.status().code(), PUNA_ERROR_BACKEND);
            EXPECT_EQ(current(), cuda_emulator::context_of_host());
        }
        EXPECT_EQ(current(), cuda_emulator::context_of_host());
    });
    EXPECT_TRUE(lost.usable().ok());
}

// A driver that fails once is asked again.
TEST_F(CudaDeviceScope, CallsThatAreNotFoundAreAnError) {
    puna_host_services services = {};
    services.log = [](puna_host*, int32_t, const char*, size_t) {};
    {
        const test::Setting third{"PUNA_EMULATED_GPU_FAIL_CALL", 3};
        const auto devices = find_devices(services);
        ASSERT_FALSE(devices.ok());
        EXPECT_EQ(devices.status().code(), PUNA_ERROR_NO_DEVICE);
        EXPECT_NE(std::string(devices.status().text()).find("cuCtxGetCurrent"), std::string::npos)
            << devices.status().text();
    }
    EXPECT_TRUE(find_devices(services).ok());
}

}  // namespace
}  // namespace puna::cuda
