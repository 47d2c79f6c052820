#include "backend/host.h"

#include "base/clock.h"
#include "base/error.h"
#include "format/block_format.h"

namespace puna::core {
namespace {

Host& host_of(puna_host* host) {
    return *reinterpret_cast<Host*>(host);
}

void* PUNA_CALL service_alloc(puna_host* host, size_t size, size_t alignment) {
    return host_of(host).allocator().allocate(size, alignment);
}

void PUNA_CALL service_free(puna_host* host, void* memory, size_t size, size_t alignment) {
    host_of(host).allocator().deallocate(memory, size, alignment);
}

void PUNA_CALL service_log(puna_host* host, int32_t level, const char* text, size_t size) {
    host_of(host).log().log(level, "%.*s", static_cast<int>(size), text);
}

void PUNA_CALL service_parallel(puna_host* host, int32_t n_parts, int32_t max_threads,
                                puna_part_fn part, void* argument) {
    host_of(host).parallel(n_parts, max_threads, part, argument);
}

int64_t PUNA_CALL service_now_ns(puna_host*) {
    return now_ns();
}

Result<const BlockFormatInfo*> known_format(int32_t format) {
    const BlockFormatInfo* info = find_block_format(static_cast<uint32_t>(format));
    if (info != nullptr) return info;
    return make_status(PUNA_ERROR_UNSUPPORTED, "no block format has number %d",
                       static_cast<int>(format));
}

puna_status PUNA_CALL service_dequantize(puna_host*, int32_t format, const void* blocks, int64_t n,
                                         float* out, puna_error* error) {
    const auto info = known_format(format);
    if (!info.ok()) return fill_error(error, info.status());
    return fill_error(error, dequantize_row((*info)->format, blocks, out, n));
}

puna_status PUNA_CALL service_block_size(puna_host*, int32_t format, int32_t* n_elements,
                                         int32_t* n_bytes, puna_error* error) {
    const auto info = known_format(format);
    if (!info.ok()) return fill_error(error, info.status());
    *n_elements = static_cast<int32_t>((*info)->block_length);
    *n_bytes = static_cast<int32_t>((*info)->block_bytes);
    return fill_error(error, Status());
}

}  // namespace

Result<std::unique_ptr<Host>> Host::create(Allocator& allocator, LogSink& log, int n_threads,
                                           ParallelHook hook) {
    std::unique_ptr<Host> host(new Host(allocator, log, hook));
    if (hook.run == nullptr) {
        PUNA_TRY_ASSIGN(host->pool_, ThreadPool::create(n_threads));
    }
    host->fill_services(n_threads);
    return host;
}

void Host::fill_services(int n_threads) {
    services_.struct_size = sizeof services_;
    services_.n_threads = n_threads;
    services_.host = reinterpret_cast<puna_host*>(this);
    services_.alloc = service_alloc;
    services_.free = service_free;
    services_.log = service_log;
    services_.parallel = service_parallel;
    services_.now_ns = service_now_ns;
    services_.dequantize = service_dequantize;
    services_.block_size = service_block_size;
}

void Host::parallel(int32_t n_parts, int32_t max_threads, puna_part_fn part, void* argument) {
    const int32_t n_threads = services_.n_threads;
    if (max_threads <= 0 || max_threads > n_threads) max_threads = n_threads;
    if (hook_.run != nullptr) {
        hook_.run(n_parts, max_threads, part, argument, hook_.user);
        return;
    }
    struct Job {
        puna_part_fn part;
        void* argument;
    } job = {part, argument};
    auto run = [](void* arg, int index) {
        const Job& it = *static_cast<const Job*>(arg);
        it.part(index, it.argument);
    };
    pool_->parallel(n_parts, max_threads, run, &job);
}

void Host::abandon_threads() {
    if (pool_) pool_->abandon();
}

}  // namespace puna::core
