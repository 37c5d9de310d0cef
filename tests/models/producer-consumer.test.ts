import { expectContract } from '../contract/suite.js'

expectContract('producer-consumer')
