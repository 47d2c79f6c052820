// What the plugin leaves of CUDA to a host that uses it too.
#include <cuda.h>
#include <cuda_runtime.h>
#include <gtest/gtest.h>

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
    Device device_{1, "GPU", 90, 1, 1 << 20};
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
    Device other(2, "GPU", 90, 1, 1 << 20);
    on_new_thread([&] {
        const DeviceScope outer(device_);
        allocate_within(other);
        EXPECT_EQ(current_device(), 1);
    });
}

TEST_F(CudaDeviceScope, AFailureLeavesTheContext) {
    Device missing(7, "GPU", 90, 1, 1 << 20);
    on_new_thread([&] {
        ASSERT_EQ(cuCtxSetCurrent(cuda_emulator::context_of_host()), CUDA_SUCCESS);
        {
            const DeviceScope scope(missing);
            EXPECT_EQ(scope.status().code(), PUNA_ERROR_BACKEND);
        }
        EXPECT_EQ(current(), cuda_emulator::context_of_host());
    });
}

}  // namespace
}  // namespace puna::cuda
