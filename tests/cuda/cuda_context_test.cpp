// When the driver creates the context of a GPU, which takes hundreds of MB and half a second: not before it
// is needed. The emulator lets all calls fail that need one.
#include <gtest/gtest.h>

#include "cuda/cuda_plugin_path.h"
#include "support/split_model.h"

namespace puna::test {
namespace {

class CudaContext : public testing::Test {
  protected:
    void SetUp() override {
        PUNA_SKIP_WITHOUT_EMULATOR();
        set_environment("PUNA_EMULATED_GPUS", "2");
        set_environment("PUNA_EMULATED_GPU_NO_CONTEXT", "1");
    }
    void TearDown() override {
        set_environment("PUNA_EMULATED_GPUS", "");
        set_environment("PUNA_EMULATED_GPU_NO_CONTEXT", "");
    }
};

TEST_F(CudaContext, DevicesAreCountedWithoutOne) {
    const Runtime runtime = make_gpu_runtime({cuda_plugin(), {}});
    EXPECT_EQ(puna_runtime_n_devices(runtime.handle()), 3);
    EXPECT_NE(runtime.report().find("Emulated GPU 1"), std::string::npos) << runtime.report();
}

TEST_F(CudaContext, TheCpuAloneNeedsNone) {
    const SplitModelOn split({cuda_plugin(), {}}, 0, four_layers());
    Context context(split.model, context_options(64, 8));
    Sequence sequence = context.sequence();
    EXPECT_EQ(last_logits(sequence, prompt_of(5)).size(), static_cast<size_t>(kVocab));
}

TEST_F(CudaContext, LayersAndFreeMemoryNeedOne) {
    const Runtime runtime = make_gpu_runtime({cuda_plugin(), {}});
    puna_device_info info = PUNA_DEVICE_INFO_INIT;
    ASSERT_EQ(puna_runtime_device(runtime.handle(), 1, &info, nullptr), PUNA_OK);
    EXPECT_GT(info.total_bytes, 0u);
    EXPECT_EQ(info.free_bytes, 0u) << "cannot be told";
    set_environment("PUNA_EMULATED_GPU_NO_CONTEXT", "");
    ASSERT_EQ(puna_runtime_device(runtime.handle(), 1, &info, nullptr), PUNA_OK);
    EXPECT_GT(info.free_bytes, 0u);
    set_environment("PUNA_EMULATED_GPU_NO_CONTEXT", "1");
    EXPECT_THROW(SplitModelOn({cuda_plugin(), {}}, kLayers, four_layers()), Error);
}

}  // namespace
}  // namespace puna::test
