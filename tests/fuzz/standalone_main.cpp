// Runs a fuzzer where there is no libFuzzer: all seeds, then random mutations of them, until a
// count or a time is reached. The options are libFuzzer's: -runs=N -seed=N -max_total_time=SECONDS
// -max_len=BYTES, then files and folders of seeds; other options are ignored.
//
// It has no feedback from the code, so it finds less; a failing input is written to crash-input.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
extern "C" __attribute__((weak)) size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size,
                                                                size_t max_size, unsigned seed);
extern "C" __attribute__((weak)) int LLVMFuzzerInitialize(int* argc, char*** argv);

namespace {

using Input = std::vector<uint8_t>;

struct Options {
    uint64_t runs = 0;  // 0: no limit
    uint64_t seconds = 0;
    uint64_t max_length = 65536;
    uint32_t seed = 1;
    std::vector<std::string> paths;
};

Options parse_options(int argc, char** argv) {
    Options options;
    const auto number = [](const char* text, const char* name, auto* value) {
        const size_t length = std::strlen(name);
        if (std::strncmp(text, name, length) != 0) return;
        *value = static_cast<std::remove_pointer_t<decltype(value)>>(
            std::strtoull(text + length, nullptr, 10));
    };
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') {
            options.paths.emplace_back(argv[i]);
            continue;
        }
        number(argv[i], "-runs=", &options.runs);
        number(argv[i], "-max_total_time=", &options.seconds);
        number(argv[i], "-max_len=", &options.max_length);
        number(argv[i], "-seed=", &options.seed);
    }
    if (options.runs == 0 && options.seconds == 0) options.runs = 10000;
    return options;
}

Input read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return Input(std::istreambuf_iterator<char>(file), {});
}

std::vector<Input> read_seeds(const std::vector<std::string>& paths) {
    std::vector<std::filesystem::path> files;
    for (const std::string& path : paths) {
        if (!std::filesystem::is_directory(path)) {
            files.emplace_back(path);
            continue;
        }
        for (const auto& entry : std::filesystem::directory_iterator(path)) {
            if (entry.is_regular_file()) files.push_back(entry.path());
        }
    }
    std::sort(files.begin(), files.end());  // the same order, so the same run, on every machine
    std::vector<Input> seeds;
    std::transform(files.begin(), files.end(), std::back_inserter(seeds), read_file);
    return seeds;
}

class Mutator {
  public:
    Mutator(std::vector<Input> seeds, uint64_t max_length, uint32_t seed)
        : seeds_(std::move(seeds)), max_length_(max_length), random_(seed) {}

    Input next() {
        Input input = seeds_[below(seeds_.size())];
        if (LLVMFuzzerCustomMutator != nullptr && below(2) == 0) {
            const size_t size = input.size();
            input.resize(std::max<size_t>(size, max_length_));
            input.resize(LLVMFuzzerCustomMutator(input.data(), size, input.size(),
                                                 static_cast<unsigned>(random_())));
            return input;
        }
        for (uint64_t n = 1 + below(4); n > 0; n--) mutate(input);
        if (input.size() > max_length_) input.resize(max_length_);
        return input;
    }

  private:
    uint64_t below(uint64_t limit) { return random_() % std::max<uint64_t>(limit, 1); }
    uint8_t byte() { return static_cast<uint8_t>(below(256)); }

    void mutate(Input& input) {
        const size_t at = below(input.size() + 1);
        const auto place = input.begin() + static_cast<std::ptrdiff_t>(at);
        const size_t left = input.size() - at;
        switch (below(7)) {
            case 0:  // one byte
                if (left > 0) input[at] = byte();
                break;
            case 1:  // one bit
                if (left > 0) input[at] = static_cast<uint8_t>(input[at] ^ (1U << below(8)));
                break;
            case 2:  // a number that is close to a limit
                overwrite_number(input, at);
                break;
            case 3:  // truncation
                input.resize(at);
                break;
            case 4: {  // new bytes
                Input bytes(1 + below(16));
                for (uint8_t& value : bytes) value = byte();
                input.insert(place, bytes.begin(), bytes.end());
                break;
            }
            case 5:  // bytes lost
                input.erase(place, place + static_cast<std::ptrdiff_t>(below(left + 1)));
                break;
            default: {  // a piece of another seed
                const Input& other = seeds_[below(seeds_.size())];
                const size_t from = below(other.size() + 1);
                const size_t count = std::min({other.size() - from, left, size_t{1} + below(64)});
                std::copy_n(other.begin() + static_cast<std::ptrdiff_t>(from), count, place);
            }
        }
    }

    void overwrite_number(Input& input, size_t at) {
        static constexpr uint64_t kNumbers[] = {0,
                                                1,
                                                0x7f,
                                                0x80,
                                                0xff,
                                                0x7fff,
                                                0xffff,
                                                0x7fffffff,
                                                0x80000000,
                                                0xffffffff,
                                                0x7fffffffffffffff,
                                                0x8000000000000000,
                                                0xffffffffffffffff};
        const uint64_t number = kNumbers[below(std::size(kNumbers))] + below(3) - 1;
        const size_t count = std::min<size_t>(input.size() - at, size_t{1} << below(4));
        for (size_t i = 0; i < count; i++) input[at + i] = static_cast<uint8_t>(number >> (8 * i));
    }

    std::vector<Input> seeds_;
    uint64_t max_length_;
    std::mt19937_64 random_;
};

// Leaves the input behind before it runs: a crash leaves no time for it afterwards.
void run(const Input& input) {
    std::ofstream("crash-input", std::ios::binary)
        .write(reinterpret_cast<const char*>(input.data()),
               static_cast<std::streamsize>(input.size()));
    // A copy of the exact size, so that a sanitizer sees the first byte read too far.
    const Input exact(input);
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

}  // namespace

int main(int argc, char** argv) {
    if (LLVMFuzzerInitialize != nullptr) LLVMFuzzerInitialize(&argc, &argv);
    const Options options = parse_options(argc, argv);
    std::vector<Input> seeds = read_seeds(options.paths);
    seeds.emplace_back();
    for (const Input& seed : seeds) run(seed);

    const size_t n_seeds = seeds.size();
    Mutator mutator(std::move(seeds), options.max_length, options.seed);
    const auto start = std::chrono::steady_clock::now();
    const auto in_time = [&] {
        const auto passed = std::chrono::steady_clock::now() - start;
        return options.seconds == 0 || passed < std::chrono::seconds(options.seconds);
    };
    uint64_t n_runs = 0;
    while ((options.runs == 0 || n_runs < options.runs) && in_time()) {
        run(mutator.next());
        n_runs++;
    }
    std::filesystem::remove("crash-input");
    std::printf("%zu seeds, %llu mutations\n", n_seeds, static_cast<unsigned long long>(n_runs));
    return 0;
}
