// puna.h: runtimes and devices.
#include "capi/guard.h"
#include "capi/handles.h"

using namespace puna::core;

namespace {

// Calls the hooks' releases unless the runtime has taken them over.
class HookDuty {
  public:
    explicit HookDuty(const puna_runtime_options& options) : options_(&options) {}
    ~HookDuty() {
        if (options_ == nullptr) return;
        if (options_->alloc_release) options_->alloc_release(options_->alloc_user);
        if (options_->log_release) options_->log_release(options_->log_user);
        if (options_->parallel_release) options_->parallel_release(options_->parallel_user);
    }
    HookDuty(const HookDuty&) = delete;
    HookDuty& operator=(const HookDuty&) = delete;

    void dismiss() { options_ = nullptr; }

  private:
    const puna_runtime_options* options_;
};

}  // namespace

extern "C" {

puna_status PUNA_CALL puna_runtime_options_init(puna_runtime_options* options, size_t size) {
    return init_struct(options, size);
}

puna_status PUNA_CALL puna_runtime_create(const puna_runtime_options* options,
                                          puna_runtime** runtime, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(runtime);
        puna_runtime_options whole;
        PUNA_TRY(read_options(options, "puna_runtime_options", &whole));
        HookDuty duty(whole);
        if (whole.reserved != nullptr) {
            return make_status(PUNA_ERROR_UNSUPPORTED, "puna_runtime_options.reserved is not NULL");
        }
        auto handle = std::make_unique<puna_runtime>();
        auto created = Runtime::create(whole, [&] { duty.dismiss(); });
        if (!created.ok()) return created.status();
        handle->object = std::move(*created);
        *runtime = handle.release();
        return {};
    });
}

void PUNA_CALL puna_runtime_destroy(puna_runtime* runtime) {
    if (runtime == nullptr || runtime->object->is_forked()) return;
    runtime->object->close();
    delete runtime;
}

puna_status PUNA_CALL puna_runtime_load_backend(puna_runtime* runtime, const char* path,
                                                size_t path_size, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(runtime);
        // Our own: a callback may destroy the handle.
        const std::shared_ptr<Runtime> object = runtime->object;
        PUNA_TRY(object->check_process());
        const Runtime::Call call(object);
        PUNA_TRY_ASSIGN(const auto text, read_text(path, path_size, "path"));
        return object->backends().load_plugin(std::string(text));
    });
}

int32_t PUNA_CALL puna_runtime_n_devices(const puna_runtime* runtime) {
    if (runtime == nullptr) return 0;
    int32_t n_devices = 0;
    (void)guarded(nullptr, [&]() -> Status {
        const std::shared_ptr<Runtime> object = runtime->object;
        PUNA_TRY(object->check_process());
        const Runtime::Call call(object);  // it may be the first that needs a search
        n_devices = 1;                     // the CPU, should that fail
        n_devices = object->backends().n_devices();
        return {};
    });
    return n_devices;
}

puna_status PUNA_CALL puna_runtime_device(const puna_runtime* runtime, int32_t device,
                                          puna_device_info* info, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(runtime);
        const std::shared_ptr<Runtime> object = runtime->object;
        PUNA_TRY(object->check_process());
        const Runtime::Call call(object);
        return write_struct(info, "info", [&](puna_device_info* whole) {
            whole->struct_size = sizeof *whole;
            return object->backends().device_info(device, whole);
        });
    });
}

puna_status PUNA_CALL puna_runtime_report(const puna_runtime* runtime, char* buffer,
                                          size_t capacity, size_t* needed, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(runtime);
        const std::shared_ptr<Runtime> object = runtime->object;
        PUNA_TRY(object->check_process());
        const Runtime::Call call(object);
        return write_text(object->backends().report(), buffer, capacity, needed);
    });
}

puna_status PUNA_CALL puna_runtime_memory(const puna_runtime* runtime, puna_memory_info* info,
                                          puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(runtime);
        PUNA_TRY(runtime->object->check_process());
        return write_struct(info, "info", [&](puna_memory_info* whole) {
            runtime->object->fill_memory_info(whole);
            return Status();
        });
    });
}

}  // extern "C"
