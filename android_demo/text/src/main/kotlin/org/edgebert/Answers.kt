package org.edgebert

/** A label of the model and its probability, from 0 to 1. */
public data class LabelScore(public val label: String, public val score: Double)

/**
 * What a [TextClassifier] says of a text.
 *
 * @property label the likeliest label.
 * @property score its probability, from 0 to 1.
 * @property labels the labels that the text has: [label] alone, or of a multi-label model those over
 *   its threshold, the likeliest first, maybe none.
 * @property probabilities of all labels, in the model's order. They sum to 1, but for a multi-label
 *   model.
 */
public data class Classification(
    public val label: String,
    public val score: Double,
    public val labels: List<LabelScore>,
    public val probabilities: List<LabelScore>,
)

/**
 * A word and its tag. Places are UTF-16 code units of the text, as `String` counts them.
 *
 * @property tag null of a word that the tokenizer leaves out, such as a control character.
 * @property score the tag's probability; 0 where there is none.
 */
public data class TaggedWord(
    public val text: String,
    public val tag: String?,
    public val start: Int,
    public val end: Int,
    public val score: Double,
)

/**
 * A named entity.
 *
 * @property type such as `PER`.
 * @property start where it begins in the text, in UTF-16 code units.
 * @property end where it ends.
 * @property score the mean of its words' scores.
 */
public data class Entity(
    public val text: String,
    public val type: String,
    public val start: Int,
    public val end: Int,
    public val score: Double,
)

/**
 * What a [TokenTagger] says of a text.
 *
 * @property entities of a model of named entities; empty of one that tags parts of speech.
 */
public data class Tagging(public val words: List<TaggedWord>, public val entities: List<Entity>)

/**
 * A part of a context that answers a question.
 *
 * @property text empty where this says that the context has no answer.
 * @property start where it begins in the context, in UTF-16 code units.
 * @property end where it ends.
 * @property score its share among the listed answers, from 0 to 1.
 */
public data class Answer(
    public val text: String,
    public val start: Int,
    public val end: Int,
    public val score: Double,
) {
    /** Whether this says that the context has no answer. */
    public val isNone: Boolean get() = start == end
}

/**
 * A text that a search found.
 *
 * @property row its place among the texts, from 0.
 * @property cosine of its vector and the query's, from -1 to 1.
 */
public data class Hit(public val row: Int, public val cosine: Double, public val text: String)

/** A token of the vocabulary and its probability, from 0 to 1. */
public data class TokenScore(public val token: String, public val probability: Double)

/**
 * A `[MASK]` of a text.
 *
 * @property start where it stands in the text, in UTF-16 code units.
 * @property end where it ends.
 * @property tokens the likeliest first; empty of a mask that the model did not read.
 */
public data class FilledMask(
    public val start: Int,
    public val end: Int,
    public val tokens: List<TokenScore>,
)

/**
 * What a [MaskFiller] says of a text.
 *
 * @property filled the text with the likeliest token for each mask.
 */
public data class FilledText(public val filled: String, public val masks: List<FilledMask>)
