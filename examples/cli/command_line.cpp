#include "command_line.h"

#include <algorithm>
#include <charconv>

#include "errors.h"
#include "puna/puna.h"
#include "terminal.h"

namespace cli {
namespace {

bool is_option(const std::string& argument) {
    return argument.size() > 1 && argument[0] == '-';
}

// "--stop A B" becomes "--stop A --stop B".
Arguments with_names_repeated(const Arguments& arguments, const std::vector<std::string>& names) {
    // When options come first, MODEL may be what stands behind their last value.
    if (arguments.empty() || is_option(arguments[0])) return arguments;
    Arguments result;
    const std::string* name = nullptr;
    size_t n_values = 0;
    for (const std::string& argument : arguments) {
        if (name != nullptr && n_values > 0) {
            if (is_option(argument)) {
                name = nullptr;
            } else {
                result.push_back(*name);
            }
        }
        if (name != nullptr) {
            ++n_values;  // the first one may begin with a dash
        } else if (std::find(names.begin(), names.end(), argument) != names.end()) {
            name = &argument;
            n_values = 0;
        }
        result.push_back(argument);
    }
    return result;
}

std::string shortest(double number) {
    char buffer[64];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, number).ptr;
    return {buffer, end};
}

}  // namespace

CommandLine::CommandLine(const std::string& command, const std::string& description,
                         const std::string& footer)
    : app_(description, "puna " + command), command_(command) {
    app_.footer(footer);
    app_.set_help_flag("-h,--help", "Show this help");
    app_.set_version_flag("--version", std::string("puna ") + puna_version(), "Show the version");
    app_.allow_windows_style_options(false);
    // The last one wins, so that scripts can append.
    app_.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

CLI::Validator CommandLine::range(double low, double high) {
    return CLI::Validator(
        [low, high](const std::string& text) -> std::string {
            double value = 0;
            if (CLI::detail::lexical_cast(text, value) && value >= low && value <= high) return {};
            const bool open = high >= std::numeric_limits<float>::max();
            return "must be " +
                   (open ? "a number of at least " + shortest(low)
                         : "from " + shortest(low) + " to " + shortest(high)) +
                   ", not '" + text + "'";
        },
        "");
}

// CLI11 would take "[A,B]" and "{}" apart where it knows that the field is a list.
CLI::Option* CommandLine::text(const std::string& name, std::string& field, const std::string& type,
                               const std::string& help) {
    return app_
        .add_option(
            name,
            [&field](const CLI::results_t& values) {
                field = values.back();
                return true;
            },
            help)
        ->type_name(type);
}

CLI::Option* CommandLine::texts(const std::string& name,
                                std::function<void(const std::string&)> add,
                                const std::string& type, const std::string& help) {
    list_names_.push_back(name);
    return app_
        .add_option(
            name,
            [add = std::move(add)](const CLI::results_t& values) {
                for (const std::string& value : values) add(value);
                return true;
            },
            help)
        ->type_name(type)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

bool CommandLine::parse(Arguments arguments) {
    arguments = with_names_repeated(arguments, list_names_);
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
    try {
        app_.parse(std::move(arguments));
        return true;
    } catch (const CLI::CallForHelp&) {
        write_output(app_.help());
    } catch (const CLI::CallForVersion& version) {
        write_output(version.what() + std::string("\n"));
    } catch (const CLI::ParseError& error) {
        throw UsageError(error.what() + (": try 'puna " + command_) + " --help'");
    }
    return false;
}

}  // namespace cli
