import { expectContract } from '../contract/suite.js'

expectContract('pipeline')
