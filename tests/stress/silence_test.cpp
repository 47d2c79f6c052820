// Without a logger the library says nothing and writes nothing, whatever happens to it.
#if defined(__unix__) || defined(__APPLE__)
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "stress/stress_fixture.h"
#include "support/temp_folder.h"

namespace puna::test {
namespace {

// Both standard streams go into one temporary file for as long as this lives.
class Listener {
  public:
    Listener() : file_(std::tmpfile()) {
        std::fflush(nullptr);
        for (const int fd : {1, 2}) {
            kept_[fd - 1] = dup(fd);
            dup2(fileno(file_), fd);
        }
    }
    ~Listener() { restore(); }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    // Gives the streams back; the number of bytes that went astray.
    long restore() {
        if (file_ == nullptr) return 0;
        std::fflush(nullptr);
        for (const int fd : {1, 2}) {
            dup2(kept_[fd - 1], fd);
            close(kept_[fd - 1]);
        }
        struct stat status = {};
        fstat(fileno(file_), &status);
        std::fclose(file_);
        file_ = nullptr;
        return static_cast<long>(status.st_size);
    }

  private:
    std::FILE* file_;
    int kept_[2];
};

TEST(SilenceTest, NoByteIsPrintedAndNoFileIsMade) {
    const core::test::TempFolder folder;
    const AlignedBytes bytes = make_random_model(Machine::shape()).bytes();
    folder.write("model.gguf", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    const std::filesystem::path before = std::filesystem::current_path();
    std::filesystem::current_path(folder.path());

    Listener listener;
    int n_failures = 0;
    const auto expect_failure = [&](puna_status status) { n_failures += status != PUNA_OK; };
    puna_runtime_options options = Machine::plain_options(2);
    options.disable_backend_search = 0;
    options.log_level = PUNA_LOG_DEBUG;
    puna_runtime* runtime = nullptr;
    const puna_status created = puna_runtime_create(&options, &runtime, nullptr);
    puna_source source = PUNA_SOURCE_INIT;
    source.path = "model.gguf";
    puna_model* model = nullptr;
    const puna_status loaded = puna_model_load(runtime, &source, 1, nullptr, &model, nullptr);
    puna_source missing = source;
    missing.path = "missing.gguf";
    puna_source cut = source;
    cut.length = 1000;
    puna_model* none = nullptr;
    expect_failure(puna_model_load(runtime, &missing, 1, nullptr, &none, nullptr));
    expect_failure(puna_model_load(runtime, &cut, 1, nullptr, &none, nullptr));
    expect_failure(puna_runtime_load_backend(runtime, "none.so", 7, nullptr));
    puna_context_options context_options = PUNA_CONTEXT_OPTIONS_INIT;
    context_options.n_ctx = 4096;  // more than the model was trained for
    context_options.n_cells = 64;
    puna_context* context = nullptr;
    const puna_status made = puna_context_create(model, &context_options, &context, nullptr);
    puna_sequence* sequence = nullptr;
    puna_sequence_create(context, &sequence, nullptr);
    puna_generation* generation = nullptr;
    puna_generation_start_text(sequence, "once", 4, 0, nullptr, &generation, nullptr);
    puna_event event = PUNA_EVENT_INIT;
    int n_tokens = 0;
    while (puna_generation_next(generation, 0, &event, nullptr) == PUNA_OK &&
           event.kind != PUNA_EVENT_DONE) {
        ++n_tokens;
    }
    expect_failure(puna_sequence_truncate(sequence, -1, nullptr));
    expect_failure(puna_generation_accept(generation, 1, nullptr));
    puna_generation_destroy(generation);
    puna_sequence_destroy(sequence);
    puna_context_destroy(context);
    puna_model_destroy(model);
    puna_runtime_destroy(runtime);
    const long n_bytes = listener.restore();
    std::filesystem::current_path(before);

    EXPECT_EQ(n_bytes, 0);
    EXPECT_EQ(created, PUNA_OK);
    EXPECT_EQ(loaded, PUNA_OK);
    EXPECT_EQ(made, PUNA_OK);
    EXPECT_EQ(n_failures, 5);
    EXPECT_GT(n_tokens, 0);
    int n_files = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path())) {
        ++n_files;
    }
    EXPECT_EQ(n_files, 1);
}

}  // namespace
}  // namespace puna::test
#endif
