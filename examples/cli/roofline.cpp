#include "roofline.h"

#include <algorithm>

#include "memory_traffic.h"
#include "read_bandwidth.h"
#include "readable.h"
#include "status_line.h"

namespace cli {

std::string roofline_text(const puna::Model& model, const puna::Context& context,
                          const Timings& timings, const puna::Cancel& cancel) {
    constexpr int kSweeps = 2;
    const puna_generation_info& info = timings.info;
    if (info.n_generated == 0) return "nothing was generated: no share of the read bandwidth";
    if (model.info().n_gpu_layers > 0) {
        return "layers are on a GPU: what the CPU reads is no measure of the speed";
    }
    const double mean_cells = info.n_prompt + (info.n_generated + 1) / 2.0;
    const double n_bytes = MemoryTraffic(model, context).bytes_per_token(mean_cells);
    const double rate = n_bytes * timings.generation_rate();

    ReadBandwidth bandwidth(context.info().n_threads);
    {
        StatusLine line;
        line.show("reading memory");
        for (int i = 0; i < kSweeps; ++i) bandwidth.sweep(cancel);
    }
    const double machine_rate = bandwidth.bytes_per_second();
    return readable_bytes(static_cast<uint64_t>(n_bytes)) +
           " read for each token: " + fixed(rate / 1e9, 1) + " GB/s, " +
           fixed(100 * rate / machine_rate, 0) + " % of the " + fixed(machine_rate / 1e9, 1) +
           " GB/s at which this machine reads memory" +
           (rate > machine_rate ? " (the model fits into its caches)" : "");
}

}  // namespace cli
