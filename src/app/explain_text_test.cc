#include "app/explain_text.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

const std::vector<Explanation> kRows = {
    {"f: document 1 (Dataset a)", "spec.x", "1\n2", "one two three four five six seven eight nine",
     Explanation::Level::kWarning, "write less"},
    {"f: document 1 (Dataset a)", "spec.y", "", "fine", Explanation::Level::kOk, ""},
    {"f: document 2 (Dataset b)", "spec.z", "é", "no", Explanation::Level::kUnsupported, "stop"}};

TEST(ExplainText, TableIsAlignedAndWrapped) {
  EXPECT_EQ(ExplanationTable(kRows, 50),
            "f: document 1 (Dataset a)\n"
            "warning      spec.x: 1\\n2\n"
            "             one two three four five six seven\n"
            "             eight nine\n"
            "             -> write less\n"
            "ok           spec.y: \"\"\n"
            "             fine\n"
            "\n"
            "f: document 2 (Dataset b)\n"
            "unsupported  spec.z: é\n"
            "             no\n"
            "             -> stop\n");
  EXPECT_EQ(ExplanationTable({}, 80), "");
}

TEST(ExplainText, JsonHasTheContractsKeys) {
  EXPECT_EQ(ExplanationJson({kRows[1]}),
            "[\n  {\n    \"document\": \"f: document 1 (Dataset a)\",\n    \"path\": \"spec.y\",\n"
            "    \"value\": \"\",\n    \"meaning\": \"fine\",\n    \"level\": \"ok\",\n"
            "    \"remedy\": \"\"\n  }\n]\n");
  EXPECT_EQ(ExplanationJson({}), "[]\n");
}

}  // namespace
}  // namespace forebay
