// The runtime behind puna_runtime: the host's hooks, the threads, the backends.
#pragma once

#include <cstdint>
#include <memory>

#include "backend/backend_registry.h"
#include "backend/host.h"
#include "base/allocator.h"
#include "base/log.h"
#include "base/mutex.h"

namespace puna::core {

class Runtime {
  public:
    // `options` is complete (all fields of this version). With the object the duty to release the
    // hooks begins, even when it fails later; before that `on_taken` is not called.
    template <class OnTaken>
    static Result<std::shared_ptr<Runtime>> create(const puna_runtime_options& options,
                                                   OnTaken&& on_taken) {
        std::unique_ptr<Runtime> object(new Runtime(options));
        on_taken();
        std::shared_ptr<Runtime> runtime(std::move(object));
        PUNA_TRY(runtime->open(options));
        return runtime;
    }
    ~Runtime();
    Runtime(const Runtime&) = delete;
    Runtime& operator=(const Runtime&) = delete;

    Allocator& allocator() { return allocator_; }
    LogSink& log() { return log_; }
    Host& host() { return *host_; }
    BackendRegistry& backends() { return *backends_; }

    // True in a child of fork(): nothing of the runtime may be used there.
    bool is_forked() const;
    // PUNA_ERROR_FORKED there.
    Status check_process() const;

    // A load, estimate or search for devices under way, on the stack of its thread.
    class Call {
      public:
        explicit Call(std::shared_ptr<Runtime> runtime);
        ~Call();
        Call(const Call&) = delete;
        Call& operator=(const Call&) = delete;

      private:
        friend class Runtime;
        const std::shared_ptr<Runtime> runtime_;
        const uintptr_t thread_;
        Call* next_ = nullptr;
    };
    // The user gave the handle back: calls end as cancelled and there is no further log call. Waits
    // for the calls of other threads.
    void close();
    // Polled by the calls.
    bool is_closed() const { return is_closed_.load(std::memory_order_acquire); }

    void count_mapped(int64_t bytes) { mapped_bytes_.fetch_add(bytes, std::memory_order_relaxed); }
    void fill_memory_info(puna_memory_info* info) const;

  private:
    // Calls release(user) when it goes.
    struct Hook {
        Hook(void* hook_user, puna_release_fn hook_release)
            : user(hook_user), release(hook_release) {}
        ~Hook() {
            if (release) release(user);
        }
        Hook(const Hook&) = delete;
        Hook& operator=(const Hook&) = delete;

        void* user;
        puna_release_fn release;
    };

    explicit Runtime(const puna_runtime_options& options);
    bool others_are_calling() const;
    Status open(const puna_runtime_options& options);

    static void* allocate(void* self, size_t size, size_t alignment);
    static void deallocate(void* self, void* memory, size_t size, size_t alignment);
    static void write_log(void* self, int32_t level, const char* text, size_t size);

    // Destroyed from the bottom up: what uses a hook goes before the hook.
    Hook alloc_hook_;
    Hook log_hook_;
    Hook parallel_hook_;
    puna_alloc_fn alloc_;
    puna_free_fn free_;
    puna_log_fn write_;
    int64_t process_id_;
    Allocator allocator_;
    LogSink log_;
    std::atomic<int64_t> mapped_bytes_{0};
    std::atomic<bool> is_closed_{false};
    Mutex calls_mutex_;  // guards the list
    Call* calls_ = nullptr;
    std::atomic<uint32_t> calls_ended_{0};
    std::unique_ptr<Host> host_;
    std::unique_ptr<BackendRegistry> backends_;
};

}  // namespace puna::core
