#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <memory>
#include <vector>

#include "commands.h"
#include "engine.h"
#include "errors.h"
#include "json_text.h"
#include "process_memory.h"
#include "read_bandwidth.h"
#include "readable.h"
#include "speed_tests.h"
#include "status_line.h"
#include "text_table.h"

namespace cli {
namespace {

using Clock = std::chrono::steady_clock;

struct BenchOptions {
    EngineOptions engine;
    SpeedPlan plan;
    int32_t n_repeat = 5;
    bool json = false;
};

constexpr const char* kDescription =
    "Measures how fast a model runs on this machine: pp512 is the evaluation of a prompt of 512\n"
    "tokens, tg128@1800 the generation of 128 tokens when 1800 are in the cache. Every test is "
    "run\n--repeat times, in turn with the others; the figure is the median.";

constexpr const char* kFooter =
    "\nGenerating a token means to read all weights and the cache from memory. So each figure is "
    "also\ngiven in bytes per second, and as a share of the rate at which as many threads just "
    "read "
    "memory\n(a buffer of 2 GiB, with the best prefetch distance), measured between the tests. "
    "What "
    "lies on\na GPU is not judged so.\n"
    "\nExamples:\n"
    "  puna bench tinyllama.gguf\n"
    "  puna bench tinyllama.gguf --threads 4 --prompt 128 --generate 32 --depth 0,512,2048\n"
    "  puna bench tinyllama.gguf --kernels avx2 --json\n";

std::vector<int32_t> parse_depths(const std::string& text) {
    std::vector<int32_t> depths;
    const char* at = text.data();
    const char* const end = at + text.size();
    for (;;) {
        int32_t depth = 0;
        const auto result = std::from_chars(at, end, depth);
        const bool is_right =
            result.ec == std::errc() && depth >= 0 && (result.ptr == end || *result.ptr == ',');
        if (!is_right) {
            throw InvalidValue("must be numbers of tokens like 0,1800, not '" + text + "'");
        }
        depths.push_back(depth);
        if (result.ptr == end) return depths;
        at = result.ptr + 1;
    }
}

bool parse(BenchOptions& options, const Arguments& arguments) {
    CommandLine line("bench", kDescription, kFooter);
    add_model(line, options.engine.model);
    line.group("Tests");
    SpeedPlan& plan = options.plan;
    line.number("--prompt", plan.n_prompt, 0, PUNA_MAX_CTX,
                "Tokens of the prompt; 0: none is timed");
    line.number("--generate", plan.n_generate, 0, PUNA_MAX_CTX, "Tokens to generate; 0: none");
    line.value(
        "--depth", [&plan](const std::string& text) { plan.depths = parse_depths(text); }, "N,N...",
        "0,1800", "Tokens in the cache before those, one test for each\nnumber");
    line.number("--repeat", options.n_repeat, 1, 1000000, "Times that each test is run");
    line.flag("--json", options.json, "Print one JSON document");
    add_engine_options(line, options.engine);
    if (!line.parse(arguments)) return false;
    if (plan.n_prompt == 0 && plan.n_generate == 0) {
        throw UsageError("--prompt and --generate are both 0: nothing to measure");
    }
    for (const int32_t depth : plan.depths) {
        if (int64_t{depth} + plan.n_generate <= PUNA_MAX_CTX) continue;
        throw UsageError("--depth " + std::to_string(depth) + ": with --generate " +
                         std::to_string(plan.n_generate) + " more than the " +
                         std::to_string(PUNA_MAX_CTX) + " tokens of the largest context");
    }
    return true;
}

struct Report {
    puna_model_info model;
    std::vector<puna_device_info> devices;
    std::vector<puna_format_info> formats;
    puna_context_info context;
    double load_seconds = 0;
    double first_token_seconds = 0;  // also from the load on
    uint64_t peak_rss_bytes = 0;
    std::vector<SpeedTest> tests;
    double read_rate = 0;  // bytes per second
    size_t prefetch_bytes = 0;
    size_t read_buffer_bytes = 0;

    const puna_device_info& backend() const {
        return model.n_gpu_layers > 0 && devices.size() > 1 ? devices[1] : devices[0];
    }
    // Memory that the CPU reads says nothing about layers on a GPU.
    bool is_bound_by_reads(const SpeedTest& test) const {
        return test.generates && model.n_gpu_layers == 0;
    }
    double fraction_of_reads(const SpeedTest& test) const {
        return test.read_rate(test.median()) / read_rate;
    }
};

// The tests in turn, so that a machine that gets slower or faster does so for all of them, with the
// bandwidth in between.
void run_tests(SpeedTests& speed, const BenchOptions& options, const puna::Cancel& cancel,
               Report& report) {
    constexpr int32_t kMinSweeps = 3;
    StatusLine line;
    line.show("warming up");
    speed.warm_up();
    std::unique_ptr<ReadBandwidth> bandwidth;
    for (int32_t i = 0; i < std::max(options.n_repeat, kMinSweeps); ++i) {
        const std::string round = " " + std::to_string(i + 1) + "/";
        for (SpeedTest& test : speed.tests()) {
            if (i >= options.n_repeat) break;
            line.show(test.name + round + std::to_string(options.n_repeat));
            speed.repeat(test);
        }
        if (!bandwidth) {
            // By now the engine has touched all it ever will, and the buffer is not there yet.
            report.peak_rss_bytes = peak_resident_bytes();
            line.show("reading memory");
            bandwidth = std::make_unique<ReadBandwidth>(report.context.n_threads);
        }
        line.show("reading memory" + round +
                  std::to_string(std::max(options.n_repeat, kMinSweeps)));
        bandwidth->sweep(cancel);
    }
    report.tests = speed.tests();
    report.read_rate = bandwidth->bytes_per_second();
    report.prefetch_bytes = bandwidth->prefetch_bytes();
    report.read_buffer_bytes = bandwidth->buffer_bytes();
    // What was reached can be reached.
    for (const SpeedTest& test : report.tests) {
        if (!report.is_bound_by_reads(test)) continue;
        report.read_rate = std::max(report.read_rate, test.read_rate(test.max()));
    }
}

Report measure(const BenchOptions& options, const Interrupt& interrupt) {
    const auto start = Clock::now();
    const auto elapsed = [start] {
        return std::chrono::duration<double>(Clock::now() - start).count();
    };
    const puna::Runtime runtime = make_runtime(options.engine);
    const puna::Model model = load_model(runtime, options.engine, interrupt);
    SpeedTests speed(model, options.engine, options.plan, interrupt.cancel());
    Report report;
    report.load_seconds = elapsed();
    speed.evaluate_first_token();
    report.first_token_seconds = elapsed();

    report.model = model.info();
    // Asking for a GPU would start its driver.
    report.devices = {runtime.device(0)};
    if (report.model.n_gpu_layers > 0) report.devices = runtime.devices();
    for (int32_t i = 0; i < model.n_formats(); ++i) report.formats.push_back(model.format(i));
    report.context = speed.context_info();
    run_tests(speed, options, interrupt.cancel(), report);
    report.context = speed.context_info();
    return report;
}

const char* device_name(const Report& report, const puna_format_info& format) {
    return report.devices[static_cast<size_t>(format.device)].backend;
}

// ---- As JSON -----------------------------------------------------------------------------------

Json formats_json(const Report& report) {
    Json formats = Json::array();
    for (const puna_format_info& format : report.formats) {
        formats.push_back({{"format", format.format},
                           {"kernels", format.kernels},
                           {"device", device_name(report, format)},
                           {"size_bytes", format.size_bytes},
                           {"n_tensors", format.n_tensors}});
    }
    return formats;
}

Json tests_json(const Report& report) {
    Json tests = Json::array();
    for (const SpeedTest& test : report.tests) {
        Json json = {{"name", test.name},
                     {"tokens_per_second", test.median()},
                     {"min", test.min()},
                     {"max", test.max()}};
        if (test.generates) {
            json["bytes_per_token"] = static_cast<uint64_t>(test.bytes_per_token);
            json["fraction_of_read_bandwidth"] =
                report.is_bound_by_reads(test) ? Json(report.fraction_of_reads(test)) : Json();
        }
        tests.push_back(std::move(json));
    }
    return tests;
}

Json as_json(const Report& report, const BenchOptions& options) {
    return {{"model", options.engine.model},
            {"size_bytes", report.model.size_bytes},
            {"kernels", report.devices[0].kernels},
            {"threads", report.context.n_threads},
            {"backend", report.backend().backend},
            {"machine",
             {{"cpu", report.devices[0].name},
              {"read_gb_per_s", report.read_rate / 1e9},
              {"read_buffer_bytes", report.read_buffer_bytes},
              {"prefetch_bytes", report.prefetch_bytes}}},
            {"formats", formats_json(report)},
            {"one_row_kernels", report.context.one_row_kernels},
            {"load_seconds", report.load_seconds},
            {"first_token_seconds", report.first_token_seconds},
            {"peak_rss_bytes", report.peak_rss_bytes},
            {"kv_bytes", report.context.kv_bytes},
            {"tests", tests_json(report)}};
}

// ---- As text -----------------------------------------------------------------------------------

std::string heading_text(const Report& report, const BenchOptions& options) {
    TextTable table("ll");
    table.add({"model", options.engine.model + ", " + readable_count(report.model.n_parameters) +
                            " parameters, " + readable_bytes(report.model.size_bytes)});
    table.add({"machine", std::string(report.devices[0].name) + ", " +
                              std::to_string(report.context.n_threads) + " threads, reads " +
                              fixed(report.read_rate / 1e9, 1) + " GB/s"});
    for (const puna_format_info& format : report.formats) {
        table.add({"weights", std::string(format.format) + " by " + format.kernels +
                                  " kernels on " + device_name(report, format) + ": " +
                                  std::to_string(format.n_tensors) + " tensors, " +
                                  readable_bytes(format.size_bytes)});
    }
    if (report.context.one_row_kernels[0] != '\0') {
        table.add({"one sequence", std::string("by ") + report.context.one_row_kernels});
    }
    table.add({"ready after", fixed(report.load_seconds, 3) + " s, first token after " +
                                  fixed(report.first_token_seconds, 3) + " s"});
    const std::string peak =
        report.peak_rss_bytes > 0 ? readable_bytes(report.peak_rss_bytes) : "unknown";
    table.add({"peak memory", peak + ", the cache " + readable_bytes(report.context.kv_bytes)});
    return table.text();
}

std::string tests_text(const Report& report) {
    TextTable table("lrrrrr");
    table.add({"test", "tokens/s", "min", "max", "GB/s", "of reads"});
    for (const SpeedTest& test : report.tests) {
        std::vector<std::string> row = {test.name, fixed(test.median(), 2), fixed(test.min(), 2),
                                        fixed(test.max(), 2)};
        if (report.is_bound_by_reads(test)) {
            row.push_back(fixed(test.read_rate(test.median()) / 1e9, 1));
            row.push_back(fixed(report.fraction_of_reads(test) * 100, 0) + " %");
        }
        table.add(std::move(row));
    }
    return "\n" + table.text();
}

}  // namespace

int bench_command(const Arguments& arguments) {
    BenchOptions options;
    if (!parse(options, arguments)) return kDone;
    const Interrupt interrupt;
    find_model(options.engine, interrupt);
    const Report report = measure(options, interrupt);
    if (report.read_buffer_bytes < size_t{1} << 31) {
        std::fprintf(stderr,
                     "puna: memory is short: the read bandwidth was measured on %s, not 2 GiB\n",
                     readable_bytes(report.read_buffer_bytes).c_str());
    }
    write_output(options.json ? json_line(as_json(report, options))
                              : heading_text(report, options) + tests_text(report));
    return kDone;
}

}  // namespace cli
