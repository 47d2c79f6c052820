// Trained models tell the stories of golden files, token for token.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <tuple>

#include "support/engine_fixture.h"
#include "support/shared_files.h"

namespace puna::test {
namespace {

struct Storyteller {
    const char* name;
    std::string model;
    std::string golden;
    std::vector<int32_t> batches;     // that all of it is told with
    std::vector<int32_t> budgets_us;  // the same
    size_t every;                     // of its stories, every so many are told
};

// The demo model has sixteen times the weights: fewer tellings say as much in a minute.
std::vector<Storyteller> storytellers() {
    return {{"demo",
             project_file("examples/demo_model/demo-f16.gguf"),
             project_file("tests/golden/data/demo.json"),
             {7, 512},
             {50},
             2},
            {"stories260K",
             shared_file("models/stories260K.gguf"),
             shared_file("golden/stories260K.json"),
             {1, 3, 7, 32, 512},
             {1, 50, 2000},
             1}};
}

struct Story {
    std::string prompt;
    std::vector<Token> prompt_tokens;
    Told told;  // all of it, as the reference would
};

std::vector<Story> load_stories(const std::string& path) {
    std::ifstream file(path);
    const auto json = nlohmann::json::parse(file);
    std::vector<Story> stories;
    for (const auto& item : json.at("cases")) {
        Story story;
        story.prompt = item.at("prompt");
        story.prompt_tokens = item.at("prompt_ids").get<std::vector<Token>>();
        story.told.tokens = item.at("greedy_ids").get<std::vector<Token>>();
        story.told.text = item.at("text");
        const bool ended = item.value("ended", false);
        story.told.finish = ended ? PUNA_FINISH_END : PUNA_FINISH_LENGTH;
        stories.push_back(std::move(story));
    }
    return stories;
}

GenerationOptions to_the_end_of(const Story& story) {
    GenerationOptions options;
    options.max_tokens = static_cast<int32_t>(story.told.tokens.size());
    return options;
}

class StoriesTest : public testing::TestWithParam<Storyteller> {
  protected:
    void SetUp() override {
        if (GetParam().model.empty() || GetParam().golden.empty()) {
            GTEST_SKIP() << "the model and its golden file are not there: set PUNA_SHARED_DIR";
        }
        const std::vector<Story> all = load_stories(GetParam().golden);
        for (size_t i = 0; i < all.size(); i += GetParam().every) stories_.push_back(all[i]);
        ASSERT_FALSE(stories_.empty());
    }
    static const std::string& model_path() { return GetParam().model; }

    // Each story in a context of its own, begun with its text.
    void tell_one_by_one(const Engine& engine, const ContextShape& shape) {
        for (const Story& story : stories_) {
            Context context = engine.context(shape);
            Sequence sequence = context.sequence();
            Generation generation =
                sequence.generate(story.prompt, to_the_end_of(story), PUNA_TOKENIZE_PARSE_SPECIAL);
            EXPECT_EQ(tell_all(generation), story.told) << story.prompt;
            std::vector<Token> all = story.prompt_tokens;
            all.insert(all.end(), story.told.tokens.begin(), story.told.tokens.end());
            EXPECT_EQ(sequence.tokens(), all) << story.prompt;
        }
    }

    // All stories at once, by steps of the context.
    void tell_together(const Engine& engine, const ContextShape& shape, Budget budget = kNoLimit) {
        Context context = engine.context(shape);
        std::vector<Sequence> sequences;
        std::vector<Generation> generations;
        for (const Story& story : stories_) {
            sequences.push_back(context.sequence());
            generations.push_back(
                sequences.back().generate(story.prompt_tokens, to_the_end_of(story)));
        }
        std::vector<Told> told(stories_.size());
        for (size_t n_done = 0; n_done < stories_.size();) {
            context.step(budget);
            n_done = 0;
            for (size_t i = 0; i < stories_.size(); ++i) {
                if (told[i].finish != PUNA_FINISH_NONE || tell_queued(generations[i], told[i])) {
                    ++n_done;
                }
            }
        }
        for (size_t i = 0; i < stories_.size(); ++i) {
            EXPECT_EQ(told[i], stories_[i].told) << stories_[i].prompt;
        }
    }

    std::vector<Story> stories_;
};

TEST_P(StoriesTest, PromptsBecomeTheTokensOfTheGoldenFile) {
    const Engine engine(model_path());
    for (const Story& story : stories_) {
        EXPECT_EQ(engine.model().tokenize(story.prompt, PUNA_TOKENIZE_PARSE_SPECIAL),
                  story.prompt_tokens);
    }
}

TEST_P(StoriesTest, AreTheSameWithEveryKernelSetAndKvType) {
    for (const std::string& kernels : machine_kernels()) {
        const Engine engine(model_path(), kernels);
        for (const int32_t kv_type : {PUNA_KV_F16, PUNA_KV_F32}) {
            SCOPED_TRACE(kernels + " kv " + std::to_string(kv_type));
            tell_one_by_one(engine, {.n_ctx = 256, .kv_type = kv_type});
        }
    }
}

TEST_P(StoriesTest, AreTheSameWithAnyWorkersAndBatch) {
    for (const std::string& kernels : machine_kernels()) {
        for (const int32_t n_threads : {1, 2}) {
            const Engine engine(model_path(), kernels, n_threads);
            for (const int32_t n_batch : GetParam().batches) {
                SCOPED_TRACE(testing::Message()
                             << kernels << ", " << n_threads << " threads, batch " << n_batch);
                tell_together(engine, {.n_ctx = 256, .n_cells = 2048, .n_batch = n_batch});
            }
        }
    }
}

TEST_P(StoriesTest, AreTheSameInSlicesOfTime) {
    const Engine engine(model_path());
    for (const int32_t budget_us : GetParam().budgets_us) {
        SCOPED_TRACE(budget_us);
        tell_together(engine, {.n_ctx = 256, .n_cells = 2048},
                      std::chrono::microseconds(budget_us));
    }
}

INSTANTIATE_TEST_SUITE_P(Models, StoriesTest, testing::ValuesIn(storytellers()),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace puna::test
