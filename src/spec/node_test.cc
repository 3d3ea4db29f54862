#include "spec/node.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

std::string Refusal(const std::string& yaml) {
  const Result<std::vector<Node>> parsed = ParseYaml(yaml);
  return parsed.ok() ? "" : parsed.error().message();
}

std::string AsJson(const std::string& yaml) {
  const Result<std::vector<Node>> parsed = ParseYaml(yaml);
  CHECK(parsed.ok());
  std::string text;
  for (const Node& node : parsed.value()) text += JsonOf(node) + ' ';
  return text;
}

TEST(Yaml, ScalarsAreWhatTheyAre) {
  EXPECT_EQ(AsJson("[1, -2, 0.5, true, false, null, ~, x, '1', \"true\", !!str 7, 007, 1e3, 0x1]"),
            "[1,-2,0.5,true,false,null,null,\"x\",\"1\",\"true\",\"7\",\"007\",1000.0,\"0x1\"] ");
  EXPECT_EQ(AsJson("a: 1\n---\n---\nb: [x]\n"), "{\"a\":1} null {\"b\":[\"x\"]} ");
  EXPECT_EQ(AsJson("b: &x {z: 1}\na: *x\n"), "{\"b\":{\"z\":1},\"a\":{\"z\":1}} ");
}

TEST(Yaml, JsonIsYamlAndKeepsItsOrder) {
  const std::string json = R"({"b":[1,"2",{"a":null}],"a":"é\n","c":-0.25})";
  EXPECT_EQ(AsJson(json), json + ' ');
  const Result<Node> parsed = ParseJson(json);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(JsonOf(parsed.value()), json);
  EXPECT_EQ(CanonicalJson(json), R"({"a":"é\n","b":[1,"2",{"a":null}],"c":-0.25})");
}

TEST(Yaml, ErrorsSayWhere) {
  EXPECT_NE(Refusal("a: [1\nb: 2\n").find("not YAML: line 2"), std::string::npos)
      << Refusal("a: [1\nb: 2\n");
  EXPECT_EQ(Refusal("a: 1\nb: 2\na: 3\n"),
            "document 1: line 3: \"a\" is there twice; write it once");
  EXPECT_EQ(Refusal("[a]: 1\n"), "document 1: line 1: a key is not a plain word");
  EXPECT_EQ(Refusal("a: \xff\n"), "not UTF-8 text; save it as UTF-8");
}

// Of yaml-cpp 0.7: YAML::LoadAll fills the memory here.
TEST(Yaml, StrayBracketsEnd) {
  for (const char* yaml : {"{a: b}}", "[a]]", "a: b\n}\n", "}", "]", "{}\n,"}) {
    EXPECT_NE(Refusal(yaml).find("not YAML: line"), std::string::npos) << yaml << Refusal(yaml);
  }
  EXPECT_EQ(Refusal("---\n---\n...\n---\n{}\n"), "");
}

TEST(Yaml, BombsAreRefused) {
  std::string lol = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    lol += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int j = 0; j < 8; ++j) lol += ", " + before;
    lol += "]\n";
  }
  EXPECT_NE(Refusal(lol).find("more than 200000 values"), std::string::npos);
  std::string wide = "a: &a " + std::string(1u << 20, 'x') + "\nb: [*a";
  for (int i = 0; i < 20; ++i) wide += ", *a";
  EXPECT_NE(Refusal(wide + "]\n").find("16 MiB"), std::string::npos);
  EXPECT_NE(Refusal("&a [*a]").find("nested deeper than 32"), std::string::npos);
  EXPECT_NE(Refusal(std::string(40, '[') + std::string(40, ']')).find("nested deeper than 32"),
            std::string::npos);
  EXPECT_NE(Refusal(std::string(100'000, '[')).find("not YAML"), std::string::npos);
  EXPECT_EQ(Refusal(std::string(kYamlBytesMax + 1, 'a')), "larger than 4 MiB");
  std::string many;
  for (std::size_t i = 0; i <= kYamlDocumentsMax; ++i) many += "---\na\n";
  EXPECT_EQ(Refusal(many), "more than 1000 documents");
}

TEST(Json, RefusesOthers) {
  EXPECT_FALSE(ParseJson("{").ok());
  EXPECT_FALSE(ParseJson("").ok());
  EXPECT_FALSE(ParseJson(std::string(40, '[') + std::string(40, ']')).ok());
}

}  // namespace
}  // namespace forebay
