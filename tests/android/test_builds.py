"""The Gradle build, which can't run here, says what the Maven build says, which can."""

from __future__ import annotations

import re
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import edgebert

ANDROID = Path(__file__).parents[2] / "android_demo"
GRADLE_MODULES = ("text", "litert", "app")
POM = "{http://maven.apache.org/POM/4.0.0}"


def pom(folder: Path) -> ElementTree.Element:
    return ElementTree.parse(folder / "pom.xml").getroot()


def properties(folder: Path) -> dict[str, str]:
    """The properties of a module, with its parent's."""
    found = {} if folder == ANDROID else properties(ANDROID)
    element = pom(folder).find(f"{POM}properties")
    own = [] if element is None else list(element)
    return found | {each.tag.removeprefix(POM): each.text or "" for each in own}


def catalog() -> dict[str, str]:
    text = (ANDROID / "gradle" / "libs.versions.toml").read_text()
    return dict(tomllib.loads(text)["versions"])


def gradle(module: str) -> str:
    return (ANDROID / module / "build.gradle.kts").read_text()


@pytest.mark.parametrize(
    ("ours", "module", "theirs"),
    [
        ("kotlin", "text", "kotlin.version"),
        ("minSdk", "app", "minSdk"),
        ("targetSdk", "app", "targetSdk"),
    ],
)
def test_versions_are_the_same(ours: str, module: str, theirs: str) -> None:
    assert catalog()[ours] == properties(ANDROID / module)[theirs]


def test_the_level_that_is_checked_is_the_lowest_one_that_is_promised() -> None:
    signature = pom(ANDROID).find(f".//{POM}signature/{POM}artifactId")
    assert signature is not None
    assert signature.text == f"gummy-bears-api-{catalog()['minSdk']}"


def test_the_app_names_the_litert_that_it_is_built_with() -> None:
    strings = ElementTree.parse(ANDROID / "app/src/main/res/values/strings.xml").iter("string")
    (named,) = [each.text for each in strings if each.get("name") == "litert_version"]
    assert named == catalog()["litert"]


def test_the_version_is_everywhere_that_of_edgebert() -> None:
    assert f'versionName = "{edgebert.__version__}"' in gradle("app")
    version = pom(ANDROID).find(f"{POM}version")
    assert version is not None
    assert version.text == edgebert.__version__


@pytest.mark.parametrize("module", GRADLE_MODULES)
def test_both_builds_compile_the_same_files(module: str) -> None:
    """Gradle's default folders, which are those of the poms; and no others have sources."""
    assert "sourceSets" not in gradle(module)
    folders = [*pom(ANDROID).iter(f"{POM}sourceDirectory"), *pom(ANDROID / module).iter()]
    named = {
        (each.text or "").strip()
        for each in folders
        if each.tag in (f"{POM}sourceDirectory", f"{POM}sourceDir")
    }
    assert named - {"${r.folder}"} == {"src/main/kotlin"}
    main = ANDROID / module / "src" / "main"
    sources = {path.relative_to(main).parts[0] for path in main.rglob("*.kt")}
    assert sources == {"kotlin"}
    assert not list(main.rglob("*.java"))


def test_gradle_has_every_module_that_travels() -> None:
    include = re.search(r"include\((.*)\)", (ANDROID / "settings.gradle.kts").read_text())
    assert include is not None
    assert set(re.findall(r":(\w+)", include[1])) == set(GRADLE_MODULES)
    modules = {each.text for each in pom(ANDROID).iter(f"{POM}module")}
    assert modules - {"desktop", "stand-ins", "apk", "bench"} == set(GRADLE_MODULES)


@pytest.mark.parametrize("module", GRADLE_MODULES)
def test_modules_depend_on_each_other_as_in_maven(module: str) -> None:
    wanted = {
        dependency.findtext(f"{POM}artifactId")
        for dependency in pom(ANDROID / module).iter(f"{POM}dependency")
        if dependency.findtext(f"{POM}groupId") == "org.edgebert"
        and dependency.findtext(f"{POM}scope") is None
    }
    assert set(re.findall(r'project\(":(\w+)"\)', gradle(module))) == wanted
